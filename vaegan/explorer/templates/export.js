const $ = id => document.getElementById(id);
const model = JSON.parse($("description").textContent);
const weights = new Weights($("weights").textContent, model.dtype);
const [channels, side] = model.image_shape, axes = model.axes, hasAlpha = channels % 2 === 0;

// What the model computes: codes and pixels are arrays of numbers, pixels in [-1, 1], channels first.
const explorer = {
  encode: (pixels, label = 0) =>
    run(model.encoder, weights, make(model.image_shape, Float32Array.from(pixels)), label, model.classes)
      .data.slice(0, count(model.code_shape)),
  decode: (code, label = 0) =>
    run(model.decoder, weights, make(model.code_shape, Float32Array.from(code)), label, model.classes).data,
};
let code = Float32Array.from(model.start), first = null, second = null, waiting = false;
const label = () => Number($("class").value || 0);
const say = text => { $("line").textContent = text; };

function measure(z) {
  if (axes.dimensions) return axes.dimensions.map(index => z[index]);
  return axes.directions.map(each => each.reduce((sum, value, i) => sum + value * (z[i] - axes.centre[i]), 0));
}

function move(z, axis, coordinate) {
  const moved = Float32Array.from(z);
  if (axes.dimensions) {
    moved[axes.dimensions[axis]] = coordinate;
  } else {
    const step = coordinate - measure(z)[axis];
    axes.directions[axis].forEach((value, i) => { moved[i] += step * value; });
  }
  return moved;
}

function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const values = explorer.decode(code, label()), size = side * side;
    const image = new ImageData(side, side), byte = (c, i) => Math.round(values[c * size + i] * 127.5 + 127.5);
    for (let i = 0; i < size; i++) {
      const colours = channels < 3 ? [byte(0, i), byte(0, i), byte(0, i)] : [byte(0, i), byte(1, i), byte(2, i)];
      image.data.set([...colours, hasAlpha ? byte(channels - 1, i) : 255], 4 * i);
    }
    $("picture").getContext("2d").putImageData(image, 0, 0);
  });
}

function go(z, keepsWalk) {
  code = z;
  measure(z).forEach((value, axis) => {
    $(`axis-${axis}`).value = value;
    $(`value-${axis}`).textContent = value.toFixed(2);
  });
  if (!keepsWalk) { first = Float32Array.from(z); $("walk").value = 0; }
  draw();
}

async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw Error(`${file.name}: no image that this browser can read`);
  }
  const canvas = new OffscreenCanvas(side, side), context = canvas.getContext("2d", {willReadFrequently: true});
  let [left, top, width, height] = [0, 0, bitmap.width, bitmap.height];
  if (model.fit !== "stretch") {
    const short = Math.min(width, height);
    [left, top, width, height] = [(width - short) / 2, (height - short) / 2, short, short];
  }
  if (!hasAlpha) { context.fillStyle = "white"; context.fillRect(0, 0, side, side); }
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, width, height, 0, 0, side, side);
  const bytes = context.getImageData(0, 0, side, side).data, size = side * side, pixels = new Float32Array(channels * size);
  for (let i = 0; i < size; i++) {
    const [red, green, blue, alpha] = bytes.subarray(4 * i, 4 * i + 4);
    const grey = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
    [...(channels < 3 ? [grey] : [red, green, blue]), alpha].slice(0, channels).forEach((value, c) => {
      pixels[c * size + i] = value / 127.5 - 1;
    });
  }
  return explorer.encode(pixels, label());
}

function accept(zone, input, use) {
  const take = async file => {
    if (!file) return;
    try {
      const encoded = await read(file);
      say("");
      use(encoded);
    } catch (error) {
      say(error.message);
    }
  };
  $(input).addEventListener("change", event => take(event.target.files[0]));
  $(zone).addEventListener("dragover", event => { event.preventDefault(); $(zone).classList.add("over"); });
  $(zone).addEventListener("dragleave", () => $(zone).classList.remove("over"));
  $(zone).addEventListener("drop", event => {
    event.preventDefault();
    $(zone).classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}

// Normal numbers of a seed (mulberry32 and Box-Muller); they are not those of vaegan.
function drawNormal(seed, length) {
  let state = seed >>> 0;
  const uniform = () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
  return Float32Array.from({length}, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

$("name").textContent = model.name;
$("kind").textContent = `Sliders: ${axes.kind}.`;
$("picture").width = $("picture").height = side;
axes.names.forEach((name, axis) => {
  const row = document.createElement("label"), value = document.createElement("output");
  const slider = document.createElement("input");
  Object.assign(slider, {type: "range", id: `axis-${axis}`, min: axes.low[axis], max: axes.high[axis], step: "any"});
  value.id = `value-${axis}`;
  row.htmlFor = slider.id;
  row.append(name, value);
  slider.addEventListener("input", () => go(move(code, axis, Number(slider.value))));
  slider.addEventListener("keydown", event => {
    const sign = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}[event.key];
    if (!sign) return;
    event.preventDefault();
    const step = (axes.high[axis] - axes.low[axis]) / 160;
    slider.value = Number(slider.value) + sign * step;
    go(move(code, axis, Number(slider.value)));
  });
  $("axes").append(row, slider);
});
if (model.classes) {
  model.class_names.forEach((name, number) => $("class").append(new Option(name, number)));
  $("classes").hidden = false;
  $("class").addEventListener("input", draw);
}
$("sampling").hidden = !model.has_prior;
$("sample").addEventListener("click", () => {
  go(drawNormal(Number($("seed").value), code.length));
  $("seed").value = Number($("seed").value) + 1;
});
$("reset").addEventListener("click", () => go(Float32Array.from(model.start)));
$("walk").addEventListener("input", () => {
  const way = Number($("walk").value);
  go(first.map((value, i) => value + way * (second[i] - value)), true);
});
for (const name of ["dragover", "drop"]) window.addEventListener(name, event => event.preventDefault());
accept("drop", "image", z => go(z));
accept("goal", "other", z => { second = z; $("walk").disabled = false; say("Now walk there."); });
go(code);
window.explorer = explorer;
