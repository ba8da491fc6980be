" Commands for an editor without a screen; what happened goes into the file "report".
set nomore undolevels=1000
let g:report = []
%s/\v<(\w)(\w+)>/\2\1/g
call add(g:report, line('$'))
g/e$/normal! Ax
sort
%!tac
silent undo
silent redo
1,200d
silent undo
v/a/d
call add(g:report, line('$'))
let words = {}
for line in getline(1, '$')
  for word in split(line)
    let words[word] = get(words, word, 0) + len(word)
  endfor
endfor
call add(g:report, len(words))
call extend(g:report, map(sort(items(words), {a, b -> b[1] - a[1] == 0 ? (a[0] < b[0] ? -1 : 1) : b[1] - a[1]})[:50], {_, v -> v[0] . ' ' . v[1]}))
let text = join(getline(1, 2000), ' ')
call add(g:report, sha256(substitute(text, '\v(\w+) (\w+)', '\2-\1', 'g')))
call setline(1, map(range(1, 3000), {_, v -> repeat('ab', v % 40) . v}))
set foldmethod=indent shiftwidth=2
%normal! zi
%>
let @a = 'Ihello' . "\<Esc>"
1,300normal! @a
call writefile(map(copy(g:report), {_, v -> '' . v}), 'report')
write! edited
qall!
