// delete and delete[] of a pointer argv[2] bytes into a live block of argv[1] bytes; argv[3]: one, array, sized.
#include "misuse.h"
#include <new>

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    CHECK(argc > 3, "argument 3 is missing");
    char *block = static_cast<char *>(operator new(size));
    void *inside = announce(block + argument(argc, argv, 2), malloc_usable_size(block));
    if (!strcmp(argv[3], "one")) operator delete(inside);
    else if (!strcmp(argv[3], "array")) operator delete[](inside);
    else operator delete(inside, size);
}
