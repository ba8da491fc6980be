/* Prints the places of argv[2] blocks of argv[1] bytes that are allocated in a row, relative to the first. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1), count = argument(argc, argv, 2);
    char *first = some_block(size);
    for (size_t i = 1; i < count; i++) dprintf(1, "%td\n", (char *)hidden(some_block(size)) - first);
    return 0;
}
