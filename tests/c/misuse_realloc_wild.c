/* realloc of the address argv[1], where nothing is. */
#include "misuse.h"

int main(int argc, char **argv) {
    free(some_block(100));
    return realloc(announce((void *)argument(argc, argv, 1), 0), 100) == NULL;
}
