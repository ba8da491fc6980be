/* Frees a local variable. */
#include "misuse.h"

int main(void) {
    _Alignas(64) char local[256] = {1};
    free(some_block(100));
    free(announce(local, 0));
    return 0;
}
