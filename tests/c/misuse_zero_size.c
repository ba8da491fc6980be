/* Uses the first byte of a block of 0 bytes: argv[1] is "read" or "write". */
#include "misuse.h"

int main(int argc, char **argv) {
    (void)argc;
    volatile char *block = announce(some_block(0), 0);
    if (!strcmp(argv[1], "read")) (void)*block;
    else *block = 'y';
    free((char *)block);
    dprintf(1, "survived\n");
    return 0;
}
