/* Leaves tiles out of the steps of cvsr_net.h, at random; build with -fsanitize=address,undefined.
 *
 *   net_tiles_fuzz COUNT SEED
 *
 * Every step is run over the whole frame and over some tiles, on several threads: the tiles computed must be the same bytes, and
 * the others must not be written. Buffers have the size stated in cvsr_net.h and no more. */
#define _POSIX_C_SOURCE 200809L
#include "net_draw.h"

enum { DEPTH = 16, MARK = 0x5a };

/* An output: `scale` * `height` lines of `scale` * `width` elements. */
typedef struct {
    uint8_t *bytes;
    size_t element;
    int32_t scale;
} output;

static output outputs_of(int32_t height, int32_t width, int32_t scale, size_t element)
{
    const size_t size = (size_t)(height * scale) * (size_t)(width * scale) * element;
    output made = {malloc(size), element, scale};
    if (!made.bytes)
        exit(3);
    memset(made.bytes, MARK, size);
    return made;
}

/* Whether each tile of `some` is that of `all` where it was computed, and is unwritten elsewhere. */
static int is_right(output all, output some, int32_t height, int32_t width, const uint8_t *tiles, int32_t group)
{
    const int32_t columns = (width + 3) / 4;
    for (int32_t y = 0; y < height * all.scale; y++) {
        for (int32_t x = 0; x < width * all.scale; x++) {
            const size_t at = ((size_t)y * (size_t)(width * all.scale) + (size_t)x) * all.element;
            const uint8_t *row = tiles + (size_t)(y / all.scale / 4) * (size_t)columns;
            const int32_t column = x / all.scale / 4;
            int is_near = 0;
            for (int32_t c = column / group * group; c < column / group * group + group && c < columns; c++)
                is_near |= row[c];
            if (row[column] && memcmp(all.bytes + at, some.bytes + at, all.element) != 0)
                return 0;
            for (size_t i = 0; i < all.element && !is_near; i++)
                if (some.bytes[at + i] != MARK)
                    return 0;
        }
    }
    return 1;
}

typedef struct {
    cvsr_picture pictures[5];
    float *flows[4], *features, *weights, *packed, *bias, *cells, *field, *residual;
    uint8_t *pixels;
} inputs;

/* Runs a step of one kind over all tiles and over some, and compares. */
static int check_kind(const inputs *in, int32_t kind, int32_t height, int32_t width, const uint8_t *tiles)
{
    const int is_conv = kind == CVSR_CONV3X3 || kind == CVSR_CONV3X3_BF16 || kind == CVSR_CONV1X1;
    const int is_picture = kind == CVSR_FINISH || kind == CVSR_COPY;
    const int32_t scale = kind == CVSR_FINISH ? 1 + (int32_t)draw(4) : kind == CVSR_COPY ? 4 : 1;
    const size_t scratch = kind == CVSR_FINISH ? cvsr_net_finish_bytes(width, scale) : cvsr_net_scratch_bytes(DEPTH, DEPTH);
    output made[2];
    if (is_conv)
        cvsr_net_pack(in->weights, DEPTH, DEPTH, kind, in->packed);
    for (int is_part = 0; is_part < 2; is_part++) {
        const size_t element = is_picture                ? 3
                               : kind == CVSR_GATHER     ? CVSR_GATHER_CHANNELS * sizeof(float)
                               : kind == CVSR_FLOW_INPUT ? 2 * sizeof(float)
                               : kind == CVSR_TO_BF16    ? DEPTH * sizeof(uint16_t)
                                                         : DEPTH * sizeof(float);
        made[is_part] = outputs_of(height, width, scale, element);
        void *to = made[is_part].bytes;
        const cvsr_conv conv = {.inputs = {in->features}, .weights = in->packed, .bias = in->bias,
                                .cells = kind == CVSR_CONV1X1 ? NULL : in->cells, .output = to,
                                .input_channels = {DEPTH}, .output_channels = DEPTH, .height = height,
                                .width = width, .slope = 0.1f};
        const cvsr_warp warp = {in->features, in->flows[0], NULL, to, DEPTH, height, width};
        const cvsr_flow_input flow = {in->pictures[0], in->pictures[1], in->field, to, NULL, height, width};
        cvsr_gather gather = {.here = in->pictures[4], .output = to, .height = height, .width = width, .gain = 4};
        for (int i = 0; i < 4; i++) {
            gather.others[i] = in->pictures[i];
            gather.flows[i] = in->flows[i];
        }
        const cvsr_convert convert = {in->features, to, DEPTH, height, width};
        const cvsr_finish finish = {in->pictures[0], in->residual, to, NULL, scale, height, width};
        const cvsr_copy copy = {in->pixels, to, 3, 4, height, width};
        const void *params = is_conv                   ? (const void *)&conv
                             : kind == CVSR_WARP       ? (const void *)&warp
                             : kind == CVSR_FLOW_INPUT ? (const void *)&flow
                             : kind == CVSR_GATHER     ? (const void *)&gather
                             : kind == CVSR_TO_BF16    ? (const void *)&convert
                             : kind == CVSR_COPY       ? (const void *)&copy
                                                       : (const void *)&finish;
        const cvsr_step step = {kind, (width + 3) / 4, params, is_part ? tiles : NULL};
        run(&step, 1, height, is_part ? draw_threads() : 1, scratch);
    }
    const int right = is_right(made[0], made[1], height, width, tiles, kind == CVSR_GATHER ? 4 : 1);
    free(made[0].bytes), free(made[1].bytes);
    return !right && failed("a step with tiles", height, width) ? kind + 1 : 0;
}

/* Whether cvsr_net_changes finds the one value that differs. */
static int check_changes(int32_t height, int32_t width)
{
    const size_t size = (size_t)height * (size_t)width * 3;
    const int32_t columns = (width + 3) / 4, rows = (height + 3) / 4;
    uint8_t *before = malloc(size), *after = malloc(size), *tiles = malloc((size_t)rows * (size_t)columns);
    for (size_t i = 0; i < size; i++)
        before[i] = after[i] = (uint8_t)draw(256);
    const uint32_t at = draw((uint32_t)size);
    after[at] ^= 1;
    cvsr_net_changes(before, after, height, width, tiles);
    int wrong = 0;
    for (int32_t i = 0; i < rows * columns; i++)
        wrong |= tiles[i] != ((int32_t)(at / 3) / width / 4 == i / columns && (int32_t)(at / 3) % width / 4 == i % columns);
    free(before), free(after), free(tiles);
    return wrong && failed("changes", height, width);
}

static int check_tiles(int32_t height, int32_t width)
{
    static const int32_t kinds[] = {CVSR_CONV3X3, CVSR_CONV3X3_BF16, CVSR_CONV1X1, CVSR_WARP, CVSR_FLOW_INPUT,
                                    CVSR_GATHER,  CVSR_TO_BF16,      CVSR_FINISH,  CVSR_COPY};
    const size_t pixels = (size_t)height * (size_t)width, cells = (size_t)((height + 3) / 4) * (size_t)((width + 3) / 4);
    inputs in = {.features = floats(pixels * DEPTH, draw_share), .weights = floats(DEPTH * DEPTH * 9, draw_share),
                 .packed = floats(DEPTH * DEPTH * 36, draw_share), .bias = floats(DEPTH, draw_share),
                 .cells = floats(cells * DEPTH, draw_share), .field = floats(2 * cells, draw_motion),
                 .residual = floats(pixels * 48, draw_share), .pixels = malloc(pixels * 48)};
    uint8_t *tiles = malloc(cells);
    const uint32_t density = draw(5);
    for (size_t i = 0; i < cells; i++)
        tiles[i] = draw(4) < density;
    for (size_t i = 0; i < pixels * 48; i++)
        in.pixels[i] = (uint8_t)draw(256);
    for (int i = 0; i < 5; i++) {
        const size_t luma = (size_t)(height + 4) * (size_t)CVSR_LUMA_STEP(width);
        in.pictures[i] = (cvsr_picture){floats(pixels * 4, draw_share), floats(luma, draw_share)};
        const cvsr_load load = {in.pixels, in.pictures[i], height, width};
        run(&(cvsr_step){.kind = CVSR_LOAD, .params = &load}, 1, height, 1, 0);
        if (i < 4)
            in.flows[i] = floats(pixels * 2, draw_motion);
    }
    int wrong = check_changes(height, width);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds && !wrong; k++)
        wrong = check_kind(&in, kinds[k], height, width, tiles);
    for (int i = 0; i < 5; i++) {
        free(in.pictures[i].colours), free(in.pictures[i].luma);
        if (i < 4)
            free(in.flows[i]);
    }
    free(in.features), free(in.weights), free(in.packed), free(in.bias), free(in.cells), free(in.field);
    free(in.residual), free(in.pixels), free(tiles);
    return wrong;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 10;
    state = argc > 2 ? (uint64_t)atoll(argv[2]) : 1;
    int wrong = cvsr_net_choose(3) < 0;
    for (long i = 0; i < count && !wrong; i++)
        wrong = check_tiles(1 + (int32_t)draw(40), 1 + (int32_t)draw(90));
    printf("%ld inputs\n", count);
    return wrong;
}
