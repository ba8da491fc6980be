# Dictionaries, lists, regular expressions; the first argument is the number of rounds.
set state 1
proc next_number {} { global state; set state [expr {($state * 1103515245 + 12345) % 2147483648}]; return [expr {$state >> 8}] }
for {set round 1} {$round <= [lindex $argv 0]} {incr round} {
    set index [dict create]
    set lines {}
    for {set i 0} {$i < 30000} {incr i} {
        set key k[expr {[next_number] % 3000}]
        dict lappend index $key [string repeat [format %c [expr {97 + $i % 26}]] [expr {[next_number] % 30}]]
        if {$i % 9 == 0} { dict unset index k[expr {[next_number] % 3000}] }
        if {$i % 5 == 0} { lappend lines "$key $i [dict size $index]" }
    }
    set sum 0
    foreach key [lsort [dict keys $index]] {
        foreach text [dict get $index $key] { set sum [expr {($sum * 31 + [string length $text]) % 1000003}] }
    }
    set found 0
    foreach line $lines { if {[regexp {^k(\d)\d* (\d+)5 } $line -> a b]} { incr found [expr {$a + $b}] } }
    set text [string map {k0 <a> k1 <b>} [join [lsort -command {apply {{a b} {string compare $b $a}}} [lrange $lines 0 2000]] ,]]
    puts "$round [dict size $index] $sum $found [string length $text] [llength [split $text ,]]"
}
