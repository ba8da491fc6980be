/* Frees an aligned pointer argv[1] bytes behind the only block there is. */
#include "misuse.h"

int main(int argc, char **argv) {
    char *block = some_block(100);
    free(announce(block + argument(argc, argv, 1), 0));
    return 0;
}
