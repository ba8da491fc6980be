// delete p; delete p; of an object of argv[1] bytes.
#include "misuse.h"
#include <new>

int main(int argc, char **argv) {
    void *block = operator new(argument(argc, argv, 1)), *again = hidden(block);
    announce(block, malloc_usable_size(block));
    operator delete(block);
    operator delete(again);
}
