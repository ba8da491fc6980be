# Interpreter threads: every thread clones all data; queues and shared tables carry the results. $ARGV[0] rounds.
use strict;
use warnings;
use threads;
use threads::shared;
use Thread::Queue;

my %table = map { ("key$_" => [ map { "v$_" x ($_ % 7) } 1 .. 20 ]) } 1 .. 2000;

sub work {
    my ($number, $jobs, $results) = @_;
    while (defined(my $job = $jobs->dequeue())) {
        my $state = $job;
        my %seen;
        for (1 .. 3000) {
            $state = ($state * 1103515245 + 12345) % 2147483648;
            my $key = 'key' . (($state >> 8) % 2000 + 1);
            push @{ $seen{$key} }, join ',', @{ $table{$key} }[ 0 .. $state % 20 ];
            delete $seen{ 'key' . ($state % 1000) } if $state % 3 == 0;
        }
        my $text = join ';', map { "$_=" . scalar @{ $seen{$_} } } sort keys %seen;
        my $sum = 0;
        $sum = ($sum * 31 + ord $_) % 1000003 for split //, $text;
        $results->enqueue("$job $sum " . length $text);
    }
}

for my $round (1 .. $ARGV[0]) {
    my ($jobs, $results) = (Thread::Queue->new(map { $round * 100 + $_ } 1 .. 16), Thread::Queue->new());
    $jobs->end();
    my @threads = map { threads->create(\&work, $_, $jobs, $results) } 1 .. 4;
    $_->join() for @threads;
    print "$_\n" for sort map { $results->dequeue() } 1 .. 16;
}
