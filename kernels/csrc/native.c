/* The Python module: work over the rows of a tile, or of a batch of tokens, shared among threads.
 *
 * The threads are those that torch's own loops use, where it uses OpenMP: a second team would
 * compete with the first one's, which spins for a while after each product.
 *
 * Tensors come as addresses: the caller owns them, and checks shapes, dtypes and contiguity.
 */
#include <Python.h>
#include <dlfcn.h>

#include "tile.h"
#include "rows.h"

typedef void (*Part)(const void *data, int64_t from, int64_t to);

/* The loops as compiled for one instruction set. */
typedef struct {
    const char *name;
    Part pass, add, dot, combine;
} Variant;

/* Each instruction set gets every combination with its tests resolved at compile time. */
#define CASE(N, ROUNDS)                                                                          \
    case N: {                                                                                    \
        Kind kind = {(N) & 1, (N) >> 1 & 1, (N) >> 2 & 1, (N) >> 3 & 1, (N) >> 4 & 1, ROUNDS};   \
        rows_pass(pass, from, to, kind);                                                         \
        break;                                                                                   \
    }
#define CASES4(N, R) CASE(N, R) CASE((N) + 1, R) CASE((N) + 2, R) CASE((N) + 3, R)
#define CASES16(N, R) CASES4(N, R) CASES4((N) + 4, R) CASES4((N) + 8, R) CASES4((N) + 12, R)
#define DEFINE_PASS(NAME, ATTRIBUTE, ROUNDS)                                                     \
    ATTRIBUTE static void pass_##NAME(const void *data, int64_t from, int64_t to)                \
    {                                                                                            \
        const Pass *pass = data;                                                                 \
        switch (pass->half | (pass->bias != NULL) << 1 | (pass->softcap != 0.0f) << 2 |          \
                (pass->weighted != NULL) << 3 | (pass->result != NULL) << 4) {                   \
            CASES16(0, ROUNDS)                                                                   \
            CASES16(16, ROUNDS)                                                                  \
        }                                                                                        \
    }                                                                                            \
    ATTRIBUTE static void add_##NAME(const void *data, int64_t from, int64_t to)                 \
    {                                                                                            \
        add_span(data, from, to);                                                                \
    }                                                                                            \
    ATTRIBUTE static void dot_##NAME(const void *data, int64_t from, int64_t to)                 \
    {                                                                                            \
        ((const RowWork *)data)->half ? dot_rows(data, from, to, 1) : dot_rows(data, from, to, 0); \
    }                                                                                            \
    ATTRIBUTE static void combine_##NAME(const void *data, int64_t from, int64_t to)             \
    {                                                                                            \
        ((const RowWork *)data)->half ? combine_rows(data, from, to, 1)                          \
                                      : combine_rows(data, from, to, 0);                         \
    }                                                                                            \
    static const Variant NAME = {#NAME, pass_##NAME, add_##NAME, dot_##NAME, combine_##NAME};

#if defined(__aarch64__) || defined(__SSE4_1__)
DEFINE_PASS(portable, , 1)
#else
DEFINE_PASS(portable, , 0)
#endif

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86_VARIANTS 1
DEFINE_PASS(avx2, __attribute__((target("avx2,fma"))), 1)
DEFINE_PASS(avx512,
            __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,"
                                  "prefer-vector-width=512"))), 1)
#endif

static const Variant *variants[3];
static int variant_count;

static void find_variants(void)
{
    variant_count = 0;
#ifdef X86_VARIANTS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        variants[variant_count++] = &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        variants[variant_count++] = &avx2;
#endif
    variants[variant_count++] = &portable;
}

static PyObject *variant_names(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    PyObject *names = PyTuple_New(variant_count);
    for (int i = 0; names != NULL && i < variant_count; i++) {
        PyObject *name = PyUnicode_FromString(variants[i]->name);
        if (name == NULL || PyTuple_SetItem(names, i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

/* torch's OpenMP, as it is loaded; NULL where torch was built without or with another one. */
static struct {
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    int (*thread_number)(void);
    int (*team_size)(void);
} openmp;

static void find_openmp(void)
{
    *(void **)&openmp.parallel = dlsym(RTLD_DEFAULT, "GOMP_parallel");
    *(void **)&openmp.thread_number = dlsym(RTLD_DEFAULT, "omp_get_thread_num");
    *(void **)&openmp.team_size = dlsym(RTLD_DEFAULT, "omp_get_num_threads");
    if (!openmp.thread_number || !openmp.team_size)
        openmp.parallel = NULL;
}

/* Work over range(count), shared out among `threads` where that can be done. */
typedef struct {
    void (*part)(const void *data, int64_t from, int64_t to);
    const void *data;
    int64_t count;
} Work;

static void work_share(void *given)
{
    const Work *work = given;
    int64_t members = openmp.team_size(), member = openmp.thread_number();
    work->part(work->data, work->count * member / members, work->count * (member + 1) / members);
}

static void share(const Work *work, int threads)
{
    Py_BEGIN_ALLOW_THREADS
    if (threads > 1 && openmp.parallel)
        openmp.parallel(work_share, (void *)work, (unsigned)threads, 0);
    else
        work->part(work->data, 0, work->count);
    Py_END_ALLOW_THREADS
}

static PyObject *add_half(PyObject *self, PyObject *args)
{
    (void)self;
    unsigned long long total, part;
    long long count;
    int threads;
    if (!PyArg_ParseTuple(args, "KKLi", &total, &part, &count, &threads))
        return NULL;
    Addition addition = {(float *)(uintptr_t)total, (const char *)(uintptr_t)part};
    share(&(Work){variants[0]->add, &addition, count}, threads);
    Py_RETURN_NONE;
}

static PyObject *row_work(PyObject *args, int combine)
{
    unsigned long long address[6];
    long long rows, width;
    int half, threads;
    if (!PyArg_ParseTuple(args, "(KKKKKK)(LL)pi", &address[0], &address[1], &address[2],
                          &address[3], &address[4], &address[5], &rows, &width, &half, &threads))
        return NULL;
    RowWork work = {
        .matrix = (const char *)(uintptr_t)address[0],
        .index = (const int64_t *)(uintptr_t)address[1],
        .other = (const char *)(uintptr_t)address[2],
        .factor = (const float *)(uintptr_t)address[3],
        .share = (const float *)(uintptr_t)address[4],
        .result = (char *)(uintptr_t)address[5],
        .width = width,
        .half = half,
    };
    share(&(Work){combine ? variants[0]->combine : variants[0]->dot, &work, rows}, threads);
    Py_RETURN_NONE;
}

static PyObject *row_dots(PyObject *self, PyObject *args)
{
    (void)self;
    return row_work(args, 0);
}

static PyObject *row_combination(PyObject *self, PyObject *args)
{
    (void)self;
    return row_work(args, 1);
}

static PyObject *tile_pass(PyObject *self, PyObject *args)
{
    (void)self;
    unsigned long long address[13];
    long long shape[7];
    double softcap, scale;
    int half, variant, threads;
    if (!PyArg_ParseTuple(args, "(KKKKKKKKKKKKK)(LLLLLLL)ddpii", &address[0], &address[1],
                          &address[2], &address[3], &address[4], &address[5], &address[6],
                          &address[7], &address[8], &address[9], &address[10], &address[11],
                          &address[12], &shape[0], &shape[1], &shape[2], &shape[3],
                          &shape[4], &shape[5], &shape[6], &softcap, &scale, &half, &variant,
                          &threads))
        return NULL;
    if (variant < 0 || variant >= variant_count)
        return PyErr_Format(PyExc_ValueError, "variant must lie in [0, %d): received %d",
                            variant_count, variant);
    Pass pass = {
        .tile = (const char *)(uintptr_t)address[0],
        .result = (char *)(uintptr_t)address[1],
        .hidden = (const char *)(uintptr_t)address[2],
        .weight = (const char *)(uintptr_t)address[3],
        .bias = (const float *)(uintptr_t)address[4],
        .targets = (const int64_t *)(uintptr_t)address[5],
        .anchor = (const float *)(uintptr_t)address[6],
        .own = (const float *)(uintptr_t)address[7],
        .totals = (const float *)(uintptr_t)address[8],
        .sums = (float *)(uintptr_t)address[9],
        .weighted = (float *)(uintptr_t)address[10],
        .logits = (float *)(uintptr_t)address[11],
        .largest = (float *)(uintptr_t)address[12],
        .rows = shape[0], .columns = shape[1], .tile_stride = shape[2], .result_stride = shape[3],
        .depth = shape[4], .hidden_stride = shape[5], .weight_stride = shape[6],
        .softcap = (float)softcap,
        .scale = (float)scale,
        .half = half,
    };
    share(&(Work){variants[variant]->pass, &pass, pass.rows}, threads);
    Py_RETURN_NONE;
}

static PyObject *shares_threads(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyBool_FromLong(openmp.parallel != NULL);
}

static PyMethodDef methods[] = {
    {"tile_pass", tile_pass, METH_VARARGS,
     "tile_pass((tile, result, hidden, weight, bias, targets, anchor, own, totals, sums, "
     "weighted, logits, largest), (rows, columns, tile stride, result stride, depth, hidden "
     "stride, weight stride), softcap, scale, half, variant, threads)\n\nRun the pass over a tile. "
     "The first thirteen are addresses, 0 for none."},
    {"add_half", add_half, METH_VARARGS,
     "add_half(total, part, count, threads)\n\nAdd bfloat16 numbers to float32 ones."},
    {"row_dots", row_dots, METH_VARARGS,
     "row_dots((matrix, index, other, 0, 0, result), (rows, width), half, threads)\n\n"
     "result[i] = matrix[index[i]] . other[i]."},
    {"row_combination", row_combination, METH_VARARGS,
     "row_combination((matrix, index, other, factor, share, result), (rows, width), half, threads)"
     "\n\nresult[i] = factor[i] * matrix[index[i]] + share[i] * other[i]; other may be 0."},
    {"variant_names", variant_names, METH_NOARGS,
     "variant_names() -> names of the instruction sets that run here, the widest first."},
    {"shares_threads", shares_threads, METH_NOARGS,
     "shares_threads() -> whether torch's own threads were found to share the work."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "clairkit.kernels._native", "The element-wise tile pass in C.", -1,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    find_variants();
    find_openmp();
    return PyModule_Create(&module);
}
