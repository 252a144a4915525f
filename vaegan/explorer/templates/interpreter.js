// Computes the programs of network_program.py. A value is {shape, data}: of one image, channels first.
"use strict";
const count = shape => shape.reduce((product, each) => product * each, 1);
const make = (shape, data) => ({shape, data: data || new Float32Array(count(shape))});
const map = (x, f) => make(x.shape, x.data.map(f));

function pad(x, padding) {
  const [channels, height, width] = x.shape;
  if (!padding) return x;
  const y = make([channels, height + 2 * padding, width + 2 * padding]);
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < height; row++) {
      const from = (c * height + row) * width;
      y.data.set(x.data.subarray(from, from + width), (c * y.shape[1] + row + padding) * y.shape[2] + padding);
    }
  }
  return y;
}

function crop(x, padding) {
  const [channels, height, width] = x.shape;
  const y = make([channels, height - 2 * padding, width - 2 * padding]);
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < y.shape[1]; row++) {
      const from = (c * height + row + padding) * width + padding;
      y.data.set(x.data.subarray(from, from + y.shape[2]), (c * y.shape[1] + row) * y.shape[2]);
    }
  }
  return y;
}

function addBias(y, bias) {
  if (!bias) return y;
  const size = y.data.length / y.shape[0];
  for (let c = 0; c < y.shape[0]; c++) {
    for (let i = 0; i < size; i++) y.data[c * size + i] += bias[c];
  }
  return y;
}

const layers = {
  linear(x, op, weight, bias) {
    const y = make([op.outputs]);
    for (let o = 0; o < op.outputs; o++) {
      let sum = 0;
      for (let i = 0; i < op.inputs; i++) sum += weight[o * op.inputs + i] * x.data[i];
      y.data[o] = sum;
    }
    return addBias(y, bias);
  },
  conv(x, op, weight, bias) {
    const {kernel, stride} = op, padded = pad(x, op.padding), [, height, width] = padded.shape;
    const y = make([op.outputs, Math.floor((height - kernel) / stride) + 1, Math.floor((width - kernel) / stride) + 1]);
    const [, rows, columns] = y.shape;
    for (let o = 0, k = 0; o < op.outputs; o++) {
      for (let i = 0; i < op.inputs; i++) {
        for (let ky = 0; ky < kernel; ky++) {
          for (let kx = 0; kx < kernel; kx++, k++) {
            const factor = weight[k];
            for (let row = 0; row < rows; row++) {
              let from = (i * height + row * stride + ky) * width + kx;
              const to = (o * rows + row) * columns, end = to + columns;
              for (let place = to; place < end; place++, from += stride) y.data[place] += factor * padded.data[from];
            }
          }
        }
      }
    }
    return addBias(y, bias);
  },
  deconv(x, op, weight, bias) {
    const {kernel, stride} = op, [, height, width] = x.shape;
    const y = make([op.outputs, (height - 1) * stride + kernel, (width - 1) * stride + kernel]);
    const [, rows, columns] = y.shape;
    for (let i = 0, k = 0; i < op.inputs; i++) {
      for (let o = 0; o < op.outputs; o++) {
        for (let ky = 0; ky < kernel; ky++) {
          for (let kx = 0; kx < kernel; kx++, k++) {
            const factor = weight[k];
            for (let row = 0; row < height; row++) {
              let to = (o * rows + row * stride + ky) * columns + kx;
              const from = (i * height + row) * width, end = from + width;
              for (let place = from; place < end; place++, to += stride) y.data[to] += factor * x.data[place];
            }
          }
        }
      }
    }
    return addBias(crop(y, op.padding), bias);
  },
  norm(x, op, weight, bias) {
    const y = make(x.shape), size = x.data.length / op.groups, place = x.data.length / x.shape[0];
    for (let group = 0; group < op.groups; group++) {
      let mean = 0, variance = 0;
      for (let i = group * size; i < (group + 1) * size; i++) mean += x.data[i] / size;
      for (let i = group * size; i < (group + 1) * size; i++) variance += (x.data[i] - mean) ** 2 / size;
      const scale = 1 / Math.sqrt(variance + op.eps);
      for (let i = group * size; i < (group + 1) * size; i++) {
        const c = Math.floor(i / place);
        y.data[i] = (x.data[i] - mean) * scale * weight[c] + bias[c];
      }
    }
    return y;
  },
  class(x, op, weight, bias, label, classes) {
    const size = weight.length / classes, values = weight.subarray(label * size, (label + 1) * size);
    const more = op.kind === "channels" ? x.shape[1] * x.shape[2] : 1;
    const y = make([x.shape[0] + (op.kind === "plane" ? 1 : size), ...x.shape.slice(1)]);
    y.data.set(x.data);
    values.forEach((value, i) => y.data.fill(value, x.data.length + i * more, x.data.length + (i + 1) * more));
    return y;
  },
  residual(x, op, weight, bias, label, classes, values) {
    const shortcut = run(op.shortcut, values, x, label, classes), main = run(op.main, values, x, label, classes);
    return make(main.shape, main.data.map((value, i) => (value + shortcut.data[i]) * op.scale));
  },
  double(x) {
    const [channels, height, width] = x.shape, y = make([channels, 2 * height, 2 * width]);
    for (let row = 0; row < channels * 2 * height; row++) {
      for (let column = 0; column < 2 * width; column++) {
        y.data[row * 2 * width + column] = x.data[(row >> 1) * width + (column >> 1)];
      }
    }
    return y;
  },
  halve(x) {
    const [channels, height, width] = x.shape, y = make([channels, height >> 1, width >> 1]);
    for (let row = 0; row < channels * y.shape[1]; row++) {
      for (let column = 0; column < y.shape[2]; column++) {
        const from = 2 * row * width + 2 * column;
        y.data[row * y.shape[2] + column] =
          (x.data[from] + x.data[from + 1] + x.data[from + width] + x.data[from + width + 1]) / 4;
      }
    }
    return y;
  },
  blur(x, op) {
    const [channels, height, width] = x.shape, rows = Math.ceil(height / op.stride);
    const y = make([channels, rows, Math.ceil(width / op.stride)]), columns = y.shape[2];
    const clamp = (place, size) => Math.min(Math.max(place, 0), size - 1);
    for (let c = 0; c < channels; c++) {
      for (let ky = -1; ky <= 1; ky++) {
        for (let kx = -1; kx <= 1; kx++) {
          const factor = (2 - Math.abs(ky)) * (2 - Math.abs(kx)) / 16;
          for (let row = 0; row < rows; row++) {
            const from = (c * height + clamp(row * op.stride + ky, height)) * width;
            for (let column = 0; column < columns; column++) {
              y.data[(c * rows + row) * columns + column] +=
                factor * x.data[from + clamp(column * op.stride + kx, width)];
            }
          }
        }
      }
    }
    return y;
  },
  reshape: (x, op) => make(op.shape, x.data),
  silu: x => map(x, value => value / (1 + Math.exp(-value))),
  leaky: (x, op) => map(x, value => value < 0 ? op.slope * value : value),
  tanh: x => map(x, Math.tanh),
};

function run(program, values, x, label, classes) {
  return program.reduce(
    (state, op) => layers[op.op](state, op, values.take(op.w), values.take(op.b), label, classes, values), x);
}

// Weights by their [offset, count, unit].
class Weights {
  constructor(text, dtype) {
    const bytes = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
    this.values = dtype === "float32" ? new Float32Array(bytes.buffer) : new Int16Array(bytes.buffer);
    this.known = new Map();
  }
  take(place) {
    if (!place) return place;
    const [offset, count, unit] = place;
    if (!this.known.has(offset)) {
      const values = this.values.subarray(offset, offset + count);
      this.known.set(offset, values instanceof Float32Array ? values : Float32Array.from(values, each => each * unit));
    }
    return this.known.get(offset);
  }
}
