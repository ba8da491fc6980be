# Makes a text, counts and joins its words; the argument is the number of rounds.
function next_number() { state = (state * 16807) % 2147483647; return state }
BEGIN {
    rounds = ARGV[1]; state = 1
    for (round = 1; round <= rounds; round++) {
        delete count; delete first; text = ""
        for (i = 1; i <= 60000; i++) {
            word = sprintf("%c%c%d", 97 + next_number() % 26, 97 + next_number() % 26, next_number() % 40)
            count[word]++
            if (!(word in first)) first[word] = i ":" word substr("xxxxxxxxxxxxxxxxxxxx", 1, next_number() % 20)
            if (i % 17 == 0) delete count[word]
            if (i % 100 == 0) text = text " " word
        }
        n = asorti(count, words)
        sum = 0
        for (i = 1; i <= n; i++) sum = (sum * 31 + count[words[i]] * length(first[words[i]])) % 1000003
        changed = gsub(/[aeiou][a-z]/, "<&>", text)
        parts = split(text, pieces, /[<>]/)
        print round, n, sum, changed, parts, length(text)
    }
}
