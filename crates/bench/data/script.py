"""Dictionaries, strings, lists, JSON and objects, as scripts use them. Prints one deterministic number."""
import json
import zlib

state = 12345


def rand(n):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
    return (state >> 33) % n


class Order:
    def __init__(self, number):
        self.number = number
        self.lines = [(rand(1000), "item %d" % rand(5000), rand(10000) / 100) for _ in range(rand(8) + 1)]
        self.note = "x" * rand(200)


total = 0
orders = {}
for step in range(30000):
    orders[rand(20000)] = Order(step)
    if step % 5000 == 4999:
        text = json.dumps([[o.number, o.lines, o.note] for o in orders.values()])
        total = zlib.crc32(text.encode(), total)
        back = json.loads(text)
        total = zlib.crc32(str(sum(len(o[1]) for o in back)).encode(), total)
words = {}
for step in range(200000):
    word = "w%d" % (rand(300) * rand(300))
    words.setdefault(word, []).append(step)
for word in sorted(words, key=lambda w: (-len(words[w]), w))[:1000]:
    total = zlib.crc32(("%s %d" % (word, sum(words[word]))).encode(), total)
print(total)
