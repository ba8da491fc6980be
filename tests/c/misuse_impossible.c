/* Asks for more than any object can have; 3 if it gets it. */
#include "misuse.h"

int main(void) {
    size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)1 << 63, ((size_t)1 << 63) - 1, (size_t)1 << 62};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (hidden(malloc(*(volatile size_t *)&sizes[i]))) return 3;
    dprintf(1, "survived\n");
    return 0;
}
