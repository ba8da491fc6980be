/* Looks for what a freed block of argv[1] bytes held in blocks that are allocated later; 3 if it is there. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    for (int round = 0; round < 300; round++) {
        char *block = some_block(size);
        for (size_t i = 0; i < size; i++)
            if (block[i] == 'S') {
                dprintf(1, "visible\n");
                return 3;
            }
        memset(block, 'S', size);
        free(hidden(block));
    }
    dprintf(1, "survived\n");
    return 0;
}
