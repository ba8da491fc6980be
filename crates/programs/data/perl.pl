# Hashes of arrays of strings, built, matched, sorted and torn down; a child per round repeats the parent's sum.
use strict;
use warnings;

my $state = 1;
sub next_number { $state = ($state * 1103515245 + 12345) % 2147483648; return $state >> 8; }

sub work {
    my ($seed) = @_;
    $state = $seed;
    my (%index, @lines);
    for my $i (1 .. 40000) {
        my $word = join '', map { chr(97 + next_number() % 26) } 1 .. 1 + next_number() % 8;
        push @{ $index{$word} }, $i;
        push @lines, "$word $i " . ('x' x (next_number() % 50)) if $i % 3 == 0;
        delete $index{ (split / /, $lines[ next_number() % @lines ])[0] } if $i % 7 == 0;
    }
    my $sum = 0;
    for my $word (sort { @{ $index{$b} } <=> @{ $index{$a} } || $a cmp $b } keys %index) {
        $sum = ($sum * 31 + $index{$word}[-1] + length $word) % 1000003;
    }
    my @found = grep { /^([a-c])\w*\s(\d+)\s(x{10,})$/ && length($3) % 2 } @lines;
    (my $text = join ' ', @found) =~ s/(\w+) (\d+)/$2-$1/g;
    my @closures = map { my $n = $_; sub { $n * $_[0] } } 1 .. 2000;
    $sum += $_->(3) for @closures;
    return join ' ', $sum, scalar(@found), length($text), unpack('%32C*', $text);
}

$| = 1;
for my $round (1 .. $ARGV[0]) {
    my $mine = work($round);
    my $pid = open(my $child, '-|') // die "fork: $!";
    if ($pid == 0) { print work($round); exit 0; }
    my $its = <$child>;
    close $child or die "the child failed: $?";
    print $its eq $mine ? "$round $mine\n" : "$round parent $mine child $its\n";
}
