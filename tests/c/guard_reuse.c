/* Under safety:guard: objects of 40 to 230 KB are made and freed in turn; page faults and guards are a matter of the first few. Then
   writes one byte behind an object of argv[1] pages that lies where others lay, which must fault. Prints "reused" before. */
#include "misuse.h"
#include <sys/resource.h>

static long faults(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return usage.ru_minflt;
}

static void rounds(int count) {
    for (int i = 0; i < count; i++) {
        size_t size = 40000 + (size_t)i * 7919 % 190000;
        char *block = some_block(size);
        memset(block, i, size);
        free(hidden(block));
    }
}

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1) * 4096;
    rounds(200);
    long before = faults();
    rounds(4000);
    long more = faults() - before;
    CHECK(more < 400, "%ld page faults in 4000 reuses", more);
    char *block = some_block(size);
    memset(block, 'x', size);
    dprintf(1, "reused\n");
    *(volatile char *)hidden(block + size) = 'y';
    dprintf(1, "survived\n");
    return 0;
}
