/* Frees a pointer argv[2] bytes into a live block of argv[1] bytes. */
#include "misuse.h"

int main(int argc, char **argv) {
    char *block = some_block(argument(argc, argv, 1));
    free(announce(block + argument(argc, argv, 2), malloc_usable_size(block)));
    return 0;
}
