// Worker threads that build, serialise, compress and hash structures; prints one checksum per round.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');

function build(seed, size) {
  let state = seed >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const map = new Map();
  for (let i = 0; i < size; i++) {
    const key = 'key-' + (next() % (size * 2));
    const held = map.get(key) || { list: [], text: '' };
    held.list.push(next() % 1000, { nested: [next() % 7] });
    held.text += String.fromCharCode(97 + (next() % 26)).repeat(next() % 40);
    map.set(key, held);
    if (next() % 5 === 0) map.delete('key-' + (next() % (size * 2)));
  }
  return map;
}

function work(seed, size) {
  const json = JSON.stringify([...build(seed, size)].sort((a, b) => (a[0] < b[0] ? -1 : 1)));
  const again = JSON.stringify(JSON.parse(json));
  if (json !== again) throw new Error('JSON does not round trip');
  const packed = zlib.deflateSync(Buffer.from(json));
  if (zlib.inflateSync(packed).toString() !== json) throw new Error('zlib does not round trip');
  const buffers = [];
  for (let i = 0; i < 3000; i++) buffers.push(Buffer.alloc((i * 37) % 5000, i & 255));
  const whole = Buffer.concat(buffers);
  return crypto.createHash('sha256').update(json).update(whole).digest('hex');
}

if (isMainThread) {
  const rounds = Number(process.argv[2]);
  (async () => {
    for (let round = 0; round < rounds; round++) {
      const sums = await Promise.all(
        [1, 2, 3, 4].map((n) => new Promise((resolve, reject) => {
          const worker = new Worker(__filename, { workerData: { seed: round * 10 + n, size: 12000 } });
          worker.on('message', resolve);
          worker.on('error', reject);
        })),
      );
      console.log(round, work(round, 4000), ...sums);
    }
  })();
} else {
  parentPort.postMessage(work(workerData.seed, workerData.size));
}
