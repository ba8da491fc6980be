/* Frees the address argv[1], where nothing is. */
#include "misuse.h"

int main(int argc, char **argv) {
    free(some_block(100));
    free(announce((void *)argument(argc, argv, 1), 0));
    return 0;
}
