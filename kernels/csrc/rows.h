/* What happens to whole rows before and after the tiles: target logits, sums, the gradient. */

/* total[i] += part[i], of bfloat16 parts. */
typedef struct {
    float *total;
    const char *part;
} Addition;

ALWAYS_INLINE void add_span(const Addition *addition, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        addition->total[i] += read_element(addition->part, i, 1);
}

/* Rows of a matrix, picked by an index or one after the other where that is NULL. */
typedef struct {
    const char *matrix;   /* [*, width] float32 or bfloat16 */
    const int64_t *index; /* [rows] or NULL */
    const char *other;    /* dots: [rows, width] like matrix; combination: float32 or NULL */
    const float *factor;  /* [rows], of the matrix; combination only */
    const float *share;   /* [rows], of the other; combination only */
    char *result;         /* dots: float32 [rows]; combination: [rows, width] like matrix */
    int64_t width;
    int half;
} RowWork;

ALWAYS_INLINE const char *row_of(const RowWork *work, int64_t i)
{
    return work->matrix + (work->index ? work->index[i] : i) * work->width * (work->half ? 2 : 4);
}

/* result[i] = matrix[index[i]] . other[i], summed in float32. */
ALWAYS_INLINE void dot_rows(const RowWork *work, int64_t from, int64_t to, int half)
{
    for (int64_t i = from; i < to; i++) {
        const char *other = work->other + i * work->width * (half ? 2 : 4);
        ((float *)work->result)[i] = dot(row_of(work, i), other, work->width, half);
    }
}

/* result[i] = factor[i] * matrix[index[i]] + share[i] * other[i], rounded once. */
ALWAYS_INLINE void combine_rows(const RowWork *work, int64_t from, int64_t to, int half)
{
    for (int64_t i = from; i < to; i++) {
        const char *row = row_of(work, i);
        char *result = work->result + i * work->width * (half ? 2 : 4);
        const float *other = (const float *)work->other + i * work->width;
        float factor = work->factor[i];
        if (work->other == NULL)
            for (int64_t j = 0; j < work->width; j++)
                write_element(result, j, factor * read_element(row, j, half), half);
        else
            for (int64_t j = 0; j < work->width; j++)
                write_element(result, j, factor * read_element(row, j, half) +
                              work->share[i] * other[j], half);
    }
}
