# Associative arrays, string surgery, functions, subshells; $1 rounds.
declare -A count
state=1
next() { state=$(( (state * 1103515245 + 12345) % 2147483648 )); }
for (( round = 1; round <= $1; round++ )); do
    lines=()
    for (( i = 0; i < 6000; i++ )); do
        next
        word="w$(( state % 977 ))"
        (( count[$word]++ ))
        lines+=("${word^^}-${word/w/x}-${#lines[@]}")
        (( i % 13 == 0 )) && unset "count[w$(( i % 977 ))]"
    done
    text="${lines[*]}"
    text="${text//X1/<y>}"
    sum=0
    for key in "${!count[@]}"; do sum=$(( (sum + count[$key] * ${#key}) % 1000003 )); done
    for (( i = 0; i < 20; i++ )); do sub=$( inner="${text:i*10:100}"; echo "${inner%% *} $(( i * sum ))" ); done
    recurse() { if (( $1 > 0 )); then local held="$2$1"; recurse $(( $1 - 1 )) "$held"; else printf '%s\n' "${#2}"; fi; }
    printf '%s %s %s %s %s\n' "$round" "$sum" "${#text}" "$sub" "$(recurse 150 a)"
done
