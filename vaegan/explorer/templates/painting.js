// The value is {image, side, mask}: the URI of the image, its side in pixels, and "0" or "1" for each pixel, row by row.
const canvas = element.querySelector("canvas"), context = canvas.getContext("2d");
const brush = element.querySelector(".brush"), picture = new Image();
let side = 0, mask = [], cursor = [0, 0], last = null;

const draw = () => {
  if (!side) return;
  context.clearRect(0, 0, side, side);
  context.drawImage(picture, 0, 0, side, side);
  context.fillStyle = "rgb(225, 40, 160)";
  mask.forEach((painted, index) => painted && context.fillRect(index % side, Math.floor(index / side), 1, 1));
  if (document.activeElement === canvas) {
    context.fillStyle = "rgba(13, 148, 136, 0.8)";
    context.fillRect(cursor[0], cursor[1], 1, 1);
  }
};
const load = () => {
  const value = props.value;
  if (!value || !value.side) return;
  side = value.side;
  canvas.width = canvas.height = side;
  mask = Array.from({length: side * side}, (_, index) => value.mask[index] === "1");
  if (picture.src === value.image) draw(); else picture.src = value.image;
};
const keep = () => {
  if (side) props.value = {image: props.value.image, side: side, mask: mask.map(Number).join("")};
};
const paint = (column, row) => {
  const reach = Number(brush.value);
  for (let y = Math.max(0, row - reach); y <= Math.min(side - 1, row + reach); y++) {
    for (let x = Math.max(0, column - reach); x <= Math.min(side - 1, column + reach); x++) mask[y * side + x] = true;
  }
};
const locate = event => {
  const box = canvas.getBoundingClientRect();
  const scale = side / box.width;
  return [Math.floor((event.clientX - box.left) * scale), Math.floor((event.clientY - box.top) * scale)];
};
const stroke = event => {
  const place = locate(event), from = last || place;
  const count = Math.max(1, ...place.map((value, index) => Math.abs(value - from[index])));
  for (let step = 0; step <= count; step++) {
    paint(...place.map((value, index) => Math.round(from[index] + (value - from[index]) * step / count)));
  }
  last = place;
  draw();
};
picture.onload = draw;
canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); last = null; stroke(event); });
canvas.addEventListener("pointermove", event => { if (last) stroke(event); });
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => { if (last) { last = null; keep(); } });
}
canvas.addEventListener("keydown", event => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (step) cursor = cursor.map((value, index) => Math.max(0, Math.min(side - 1, value + step[index])));
  else if (event.key === " ") { paint(...cursor); keep(); }
  else return;
  event.preventDefault();
  draw();
});
canvas.addEventListener("focus", draw);
canvas.addEventListener("blur", draw);
element.querySelector(".clear").addEventListener("click", () => { mask.fill(false); keep(); draw(); });
watch("value", load);
load();
