# The pigeonhole problem as a formula: HOLES + 1 pigeons do not fit. awk -v HOLES=9 -f pigeons.awk > pigeons.smt2
BEGIN {
    for (p = 0; p <= HOLES; p++)
        for (h = 1; h <= HOLES; h++)
            print "(declare-const x" p "_" h " Bool)"
    for (p = 0; p <= HOLES; p++) {
        line = "(assert (or"
        for (h = 1; h <= HOLES; h++)
            line = line " x" p "_" h
        print line "))"
    }
    for (h = 1; h <= HOLES; h++)
        for (p = 0; p <= HOLES; p++)
            for (q = p + 1; q <= HOLES; q++)
                print "(assert (or (not x" p "_" h ") (not x" q "_" h ")))"
    print "(check-sat)"
}
