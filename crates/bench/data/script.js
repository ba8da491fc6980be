// Objects, maps, strings, buffers and JSON, as servers use them. Prints one deterministic number.
let state = 12345;
function rand(n) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % n;
}
let sum = 0;
const kept = new Map();
for (let step = 0; step < 400000; step++) {
  const order = { id: step, lines: [], note: "n".repeat(rand(100)) };
  for (let i = rand(6); i >= 0; i--) order.lines.push({ item: "item" + rand(5000), price: rand(10000) });
  kept.set(rand(20000), order);
  if (step % 40000 === 39999) {
    const text = JSON.stringify([...kept.values()]);
    sum = (sum + JSON.parse(text).length * 31 + text.length) >>> 0;
  }
}
const buffers = [];
for (let step = 0; step < 200000; step++) {
  const b = Buffer.alloc(rand(20000) + 100, step & 255);
  buffers[rand(500)] = b;
  sum = (sum + b[50]) >>> 0;
}
console.log(sum);
