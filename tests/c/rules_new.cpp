// Every form of operator new and delete; a failing new runs the new-handler and throws.
#include "check.h"
#include <initializer_list>
#include <new>

static const std::align_val_t LINE{64}, PAGE{4096};

static void *checked(void *block, size_t align, size_t size) {
    CHECK(block != nullptr, "new of %zu is null", size);
    CHECK(reinterpret_cast<uintptr_t>(block) % align == 0, "new of %zu at %zu = %p", size, align, block);
    fill(block, size, size);
    CHECK(first_difference(block, size, size) == size, "new of %zu does not keep what is written", size);
    return block;
}

static void every_form(size_t n) {
    using std::nothrow;
    operator delete(checked(operator new(n), 16, n));
    operator delete(checked(operator new(n), 16, n), n);
    operator delete(checked(operator new(n, nothrow), 16, n), nothrow);
    operator delete[](checked(operator new[](n), 16, n));
    operator delete[](checked(operator new[](n), 16, n), n);
    operator delete[](checked(operator new[](n, nothrow), 16, n), nothrow);
    operator delete(checked(operator new(n, LINE), 64, n), LINE);
    operator delete(checked(operator new(n, PAGE), 4096, n), n, PAGE);
    operator delete(checked(operator new(n, LINE, nothrow), 64, n), LINE, nothrow);
    operator delete[](checked(operator new[](n, PAGE), 4096, n), PAGE);
    operator delete[](checked(operator new[](n, LINE), 64, n), n, LINE);
    operator delete[](checked(operator new[](n, PAGE, nothrow), 4096, n), PAGE, nothrow);
}

static void null_and_zero() {
    operator delete(hidden(nullptr));
    operator delete(hidden(nullptr), size_t{8});
    operator delete[](hidden(nullptr));
    operator delete[](hidden(nullptr), size_t{8});
    operator delete(hidden(nullptr), LINE);
    operator delete(hidden(nullptr), std::nothrow);
    void *a = operator new(hidden_size(0)), *b = operator new(hidden_size(0));
    CHECK(a && b && a != b, "operator new(0): %p %p", a, b);
    operator delete(a);
    operator delete(b);
}

static int handled;
static void give_up_at_the_third_call() {
    if (++handled == 3) std::set_new_handler(nullptr);
}
static void throw_bad_alloc() { throw std::bad_alloc(); }
struct Stop {};
static void throw_another() { throw Stop{}; }
static void *freed_by_handler;
static void make_room() {
    handled++;
    operator delete(freed_by_handler);
    freed_by_handler = nullptr;
    std::set_new_handler(nullptr);
}

template <class Request> static void fails(const char *form, Request request) {
    handled = 0;
    std::set_new_handler(give_up_at_the_third_call);
    bool thrown = false;
    try {
        void *block = request();
        CHECK(block == nullptr, "%s returns %p", form, block);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown, "%s does not throw std::bad_alloc", form);
    CHECK(handled == 3, "%s calls the new-handler %d times", form, handled);
    std::set_new_handler(throw_another);
    bool other = false;
    try {
        request();
    } catch (const Stop &) {
        other = true;
    }
    CHECK(other, "%s: the new-handler's exception is lost", form);
    std::set_new_handler(nullptr);
    try {
        request();
        CHECK(false, "%s without a new-handler does not throw", form);
    } catch (const std::bad_alloc &) {
    }
}

template <class Request> static void returns_null(const char *form, Request request) {
    std::set_new_handler(nullptr);
    CHECK(request() == nullptr, "%s is not null", form);
    handled = 0;
    std::set_new_handler(give_up_at_the_third_call);
    CHECK(request() == nullptr, "%s is not null with a new-handler", form);
    CHECK(handled == 3, "%s calls the new-handler %d times", form, handled);
    std::set_new_handler(throw_bad_alloc);
    CHECK(request() == nullptr, "%s is not null with a new-handler that throws", form);
    std::set_new_handler(nullptr);
}

static void failures() {
    for (size_t huge : {static_cast<size_t>(PTRDIFF_MAX), SIZE_MAX - 64, static_cast<size_t>(1) << 62}) {
        fails("new", [=] { return operator new(hidden_size(huge)); });
        fails("new[]", [=] { return operator new[](hidden_size(huge)); });
        fails("new aligned", [=] { return operator new(hidden_size(huge), LINE); });
        fails("new[] aligned", [=] { return operator new[](hidden_size(huge), LINE); });
        returns_null("new nothrow", [=] { return operator new(hidden_size(huge), std::nothrow); });
        returns_null("new[] nothrow", [=] { return operator new[](hidden_size(huge), std::nothrow); });
        returns_null("new aligned nothrow", [=] { return operator new(hidden_size(huge), LINE, std::nothrow); });
        returns_null("new[] aligned nothrow", [=] { return operator new[](hidden_size(huge), LINE, std::nothrow); });
    }
    // A handler may free something and so be called once only, though this request still cannot be served.
    freed_by_handler = operator new(1000);
    handled = 0;
    std::set_new_handler(make_room);
    CHECK(operator new(hidden_size(PTRDIFF_MAX), std::nothrow) == nullptr && handled == 1, "handler ran %d times", handled);
}

// Through the language rather than by name: constructors that throw, arrays with cookies, over-aligned types.
struct Counted {
    static int alive;
    char text[40];
    Counted() { if (++alive == 7) { alive--; throw Stop{}; } }
    ~Counted() { alive--; }
};
int Counted::alive;
struct alignas(256) Wide { char text[300]; };

static void language() {
    try {
        delete[] new Counted[10];
        CHECK(false, "a throwing constructor is lost");
    } catch (const Stop &) {
    }
    CHECK(Counted::alive == 0, "%d objects left", Counted::alive);
    for (int i = 0; i < 1000; i++) {
        Wide *one = new Wide, *many = new Wide[5];
        CHECK(reinterpret_cast<uintptr_t>(one) % 256 == 0, "new Wide = %p", static_cast<void *>(one));
        CHECK(reinterpret_cast<uintptr_t>(many) % 256 == 0, "new Wide[5] = %p", static_cast<void *>(many));
        delete one;
        delete[] many;
    }
}

int main() {
    for (size_t n : {1, 8, 16, 40, 100, 592, 1024, 5000, 32768, 40000, 1000000}) every_form(n);
    null_and_zero();
    failures();
    language();
}
