/* A sized delete of a block of argv[1] bytes says that it has argv[2]; argv[3] is the form. */
#include "misuse.h"
#include <new>

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1), said = argument(argc, argv, 2);
    if (!strcmp(argv[3], "one")) ::operator delete(announce(::operator new(size), size), said);
    else if (!strcmp(argv[3], "array")) ::operator delete[](announce(::operator new[](size), size), said);
    else ::operator delete(announce(::operator new(size, std::align_val_t(32)), size), said, std::align_val_t(32));
    dprintf(1, "survived\n");
    return 0;
}
