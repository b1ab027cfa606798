/* Motion repair: matching errors, the best vector per cell, block search, sub-pixel steps, composition, averaging. Plain
 * C99.
 *
 * Pictures are 8-bit luma, rows * 4 lines of columns * 4 pixels; fields are two planes (x, then y) of rows * columns
 * float32 vectors in pixels, one per cell of 4x4 pixels, where a vector that is not finite counts as none. Outside of a
 * picture its border is repeated. Sampling is bilinear: at the position itself in sub-pixel steps, at the nearest
 * sixteenth of a pixel where pictures are matched.
 *
 * Every function works on any content, keeps no state, may be called from several threads at once, and returns the same
 * bits every time and with every instruction set. The result is 0; -1 and nothing touched where a size is negative or
 * too large, a number of taps not supported or a pointer missing; -2 where memory ran out. Outputs must not overlap
 * inputs.
 * codecvsr/motion/ops/reference has the same functions in numpy; ops/table.py describes both. */
#ifndef CVSR_MOTION_H
#define CVSR_MOTION_H

#include "cvsr_field.h"

#define CVSR_MAX_CELLS 16384 /* per side, and 2^31 pixels in all */
#define CVSR_MAX_RADIUS 8    /* of a filter, in samples */
#define CVSR_MAX_CANDIDATES 16

/* error[cell]: mean |current - other warped by field| in and around the cell, to a quarter of a luma step for each pixel:
 * the mean over the cell weighed with those of the cells around, 1 4 1 along and down, where an empty one counts like the
 * cell itself; infinity where the field is empty. Vectors count to 2047 pixels. */
CVSR_API int32_t cvsr_matching_error(const uint8_t *current, const uint8_t *other, const float *field, int32_t rows,
                                     int32_t columns, float *error);

/* Which of `count` pictures the vectors `raw` point at. A later picture must get below `must_win_by` times the error of
 * the best one before it.
 *
 * velocity: raw divided by the distance of the picture chosen, NaN where there is none; error: its matching error,
 * infinity where there is none. */
CVSR_API int32_t cvsr_best_reference(const uint8_t *current, const uint8_t *const *others, const float *distances,
                                     int32_t count, const float *raw, int32_t rows, int32_t columns, float must_win_by,
                                     float *velocity, float *error);

/* Carries each cell's vector along itself and multiplies it by `sign`; where several arrive, the one with the smallest
 * priority wins, and of equal ones the last. landed: NaN where none arrives. */
CVSR_API int32_t cvsr_splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns,
                            float *landed);

/* Fills empty cells with the mean of their known neighbours, ring by ring; all zero where nothing is known. */
CVSR_API int32_t cvsr_fill_holes(const float *field, int32_t rows, int32_t columns, float *filled);

/* A field that may be the motion of some cells: `sign` times `field`, first carried along itself where there is a
 * `priority` (see cvsr_splat), with its holes filled. Without a field: no motion. */
struct cvsr_candidate {
    const float *field;
    const float *priority;
    float sign;
};

/* field, error: per cell the candidate with the smallest matching error, the first of equal ones. Candidates that are
 * empty everywhere are ignored. sums: of the differences of each cell alone, in quarters of a luma step, for
 * cvsr_block_search; negative where there was no candidate. */
CVSR_API int32_t cvsr_best_candidate(const uint8_t *current, const uint8_t *other, const struct cvsr_candidate *candidates,
                                     int32_t count, int32_t rows, int32_t columns, float *field, float *error, int32_t *sums);

/* found: `field`, with vectors of whole pixels for cells whose `error` is above `bad_error` and above 0.5 times the
 * differences of adjacent pixels. They are searched for in `other`: first on means of cells, shrunk until the picture is
 * small, 8 samples on each side; then one sample around in each larger picture, and pixel by pixel; then the vectors of the
 * cells above, left, right and below are tried. A vector is accepted where the 12x12 pixels around the cell differ by less
 * than `max_ratio` times `error`, and where the field, bilinear between cells, leaves less than `max_ratio` times the
 * differences of the 3x3 cells that there are without the vector. sums: those of `field` (cvsr_best_candidate), or NULL.
 * found_error: matching errors of `found`, or `error` where no vector is accepted. count: the number of accepted vectors. */
CVSR_API int32_t cvsr_block_search(const uint8_t *current, const uint8_t *other, const float *field, const float *error,
                                   const int32_t *sums, int32_t rows, int32_t columns, float bad_error, float max_ratio,
                                   float *found, float *found_error, int32_t *count);

/* What steps need of a picture, lightly blurred with the weights 1 27 72 27 1 along and down, less five eighths of the mean of
 * the 15x15 pixels around (rounded down), as brightness comes and goes where nothing moves; in 1/128 of a luma step:
 * CVSR_PREPARED_CHANNELS numbers for each cell. First, for each pixel, its value and that of the pixel below. Then three times eight
 * planes of cells: value, difference of the right and left neighbours, difference of the lower and upper ones, at eight
 * pixels of each cell, which make a checkerboard: in lines 0 to 3 those of columns 0 3 2 1, then those of columns 2 1 0 3. */
CVSR_API int32_t cvsr_prepare(const uint8_t *picture, int32_t rows, int32_t columns, int16_t *prepared);
#define CVSR_PREPARED_CHANNELS 56

struct cvsr_refinement {
    const float *window;   /* taps on cells */
    const float *smooth;   /* likewise, for the field itself; NULL for none */
    int32_t window_radius; /* up to CVSR_MAX_RADIUS */
    int32_t smooth_radius;
    int32_t steps;
    float robust;       /* luma steps, at least 0.01: a difference of this size gets the weight 0.5 */
    float damping;      /* added to the diagonal of the 2x2 matrices */
    float max_step; /* in pixels */
};

/* refined: `field` after Gauss-Newton steps towards where `other` matches `current`, both prepared. The last step uses
 * all eight pixels of each cell, those before it the first four. */
CVSR_API int32_t cvsr_refine(const int16_t *current, const int16_t *other, const float *field, int32_t rows,
                             int32_t columns, const struct cvsr_refinement *how, float *refined);

/* The functions below do `count` jobs of one kind, each a few pointers. If one that is required is missing, nothing is done. */

/* composed: `first`, then `second` from where it points, bilinear between cell centres; vectors are in pixels. An empty
 * vector of `first` leads nowhere and stays empty. */
struct cvsr_composition {
    const float *first, *second;
    float *composed;
};

CVSR_API int32_t cvsr_compose(const struct cvsr_composition *jobs, int32_t count, int32_t rows, int32_t columns);

/* correction: what a refinement of `first` and then `second` changes, from `current` to `other`. */
struct cvsr_composed_match {
    const int16_t *current, *other;
    const float *first, *second;
    const struct cvsr_refinement *how;
    float *correction;
};

CVSR_API int32_t cvsr_correct_composed(const struct cvsr_composed_match *jobs, int32_t count, int32_t rows, int32_t columns);

/* corrected: `field` plus `gain` times the mean of one to CVSR_MAX_PARTS `parts`; those after the last are NULL. */
#define CVSR_MAX_PARTS 4

struct cvsr_sum_with_mean {
    const float *field, *parts[CVSR_MAX_PARTS];
    float *corrected;
};

CVSR_API int32_t cvsr_add_mean(const struct cvsr_sum_with_mean *jobs, int32_t count, float gain, int32_t rows,
                             int32_t columns);

/* filtered: the weighted mean of `field`, whose weight is 1, and of up to CVSR_MAX_OTHERS `others`, some NULL. The weight of
 * each is its share where it agrees with `field`, 50 % of that where it is `tolerance` pixels away, and 0 where it is empty;
 * a negative share negates its vectors. */
#define CVSR_MAX_OTHERS 9

struct cvsr_temporal_window {
    const float *field, *others[CVSR_MAX_OTHERS];
    float *filtered;
};

CVSR_API int32_t cvsr_temporal_filter(const struct cvsr_temporal_window *jobs, int32_t count, const float *shares,
                             const float *tolerances, int32_t rows, int32_t columns);

/* smoothed: `field`, where `shares` (one plane, 0..1) are above 0 drawn to the mean of the vectors around, weighted by `taps`,
 * by shares and by how well they agree with it: by 50 %, for a share of 1, where they deviate `strength` times as much as on
 * average, or by `max_tolerance` pixels where that is less. Vectors that are not finite stay. */
CVSR_API int32_t cvsr_static_smoothing(const float *field, const float *shares, const float *taps, int32_t radius, float strength,
                           float max_tolerance, int32_t rows, int32_t columns, float *smoothed);

/* warped: the picture where a flow (two planes, in pixels, x then y) points from each of its pixels; where the flow is NaN
 * it points nowhere else. */
CVSR_API int32_t cvsr_warp(const float *picture, const float *flow, int32_t height, int32_t width, float *warped);

#endif
