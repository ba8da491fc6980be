# Hashes, strings, symbols, threads, a child per round, compaction; ARGV[0] rounds.
state = 1
next_number = -> { state = (state * 1103515245 + 12345) % 2147483648; state >> 8 }
ARGV[0].to_i.times do |round|
  index = Hash.new { |h, k| h[k] = [] }
  40_000.times do |i|
    key = "key#{next_number.call % 6000}"
    index[key] << [i, key * (next_number.call % 5), key.to_sym]
    index.delete("key#{next_number.call % 6000}") if i % 7 == 0
  end
  sum = index.sort_by { |k, v| [-v.size, k] }.each_with_index.reduce(0) { |s, ((k, v), i)| (s * 31 + i * v.size + k.size) % 1_000_003 }
  parts = (1..4).map { |n| Thread.new { index.keys.sort.each_slice(n + 3).map { |s| s.join(n.to_s).gsub(/\d{3}/) { |m| m.reverse } }.sum(&:size) } }.map(&:value)
  GC.compact
  reader, writer = IO.pipe
  pid = fork { writer.puts index.values.flatten.grep(String).map(&:size).sum; writer.close; exit!(0) }
  writer.close
  text = reader.read
  Process.wait(pid)
  puts [round, index.size, sum, *parts, text.to_i, $?.success?].join(" ")
end
