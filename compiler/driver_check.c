/* driver_check.c -- `nndc check`: errors, and a table of the models.
 *
 * Operations are those of the graph before any optimisation, for one example: every arithmetic
 * operator at every point of its comprehension, and one more for each point that is reduced. */
#include "ast.h"
#include "driver.h"

typedef struct ModelCost {
    double operations;
    const char *input, *output;
} ModelCost;

/* 669706 as "669,706". */
static const char *grouped(Arena *arena, int64_t number)
{
    char *digits = arena_printf(arena, "%lld", (long long)number);
    int len = (int)strlen(digits);
    StrBuf out = str_new(arena);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) str_add(&out, ",");
        str_add_n(&out, digits + i, 1);
    }
    return str_text(&out);
}

/* 1340000 as "1.34 M". */
static const char *scaled(Arena *arena, double number, double base, const char *const *units)
{
    int k = 0;
    for (; number >= base && units[k + 1]; k++)
        number /= base;
    return arena_printf(arena,
                        number < 10 && k    ? "%.2f %s"
                        : number < 100 && k ? "%.1f %s"
                                            : "%.0f %s",
                        number, units[k]);
}

static bool extent_is_batch(Extent extent)
{
    const Scalar *size = extent.size;
    return size && size->kind == SCALAR_LOAD && size->node->kind == NODE_LEAF &&
           size->node->leaf->kind == LEAF_SIZE;
}

static void operation_count(void *data, const Scalar *s)
{
    if (s->kind == SCALAR_OP && s->type == TYPE_REAL && s->op != OP_TO_REAL && s->op != OP_STOP)
        ++*(double *)data;
}

static double node_operations(const Node *node)
{
    double points = 1, each = node->reduce != REDUCE_NONE || node->kind == NODE_SCATTER;
    if (node->kind != NODE_COMP && node->kind != NODE_SCATTER) return 0;
    for (int i = 0; i < node->n_iters; i++)
        if (!extent_is_batch(node->iters[i])) points *= (double)node->iters[i].max;
    for (int i = 0; node->free && i < node->free->n; i++)
        points *= (double)node->free->loops[i]->extent.max;
    scalar_visit(node->body, operation_count, &each);
    if (node->guard) scalar_visit(node->guard, operation_count, &each);
    return points * each;
}

static const char *type_text(Arena *arena, const Node *node)
{
    static const char *const names[] = {"bool", "u8", "int", ""};
    bool batched = node->rank && extent_is_batch(node->shape[0]);
    StrBuf out = str_new(arena);
    str_add(&out, names[node->type]);
    for (int k = batched; k < node->rank; k++) {
        const Scalar *size = node->shape[k].size;
        Name name = size && size->kind == SCALAR_LOAD ? size->node->name : NULL;
        str_printf(&out, "%s%s%s%lld", k == batched ? "[" : ", ", name ? arena_printf(arena, "%s ", name) : "",
                   size ? "<= " : "", (long long)node->shape[k].max);
    }
    if (node->rank > batched) str_add(&out, "]");
    return out.len ? str_text(&out) : "real";
}

static ModelCost model_cost(Arena *arena, const Model *model)
{
    ModelCost cost = {0, "?", "?"};
    Nodes roots = {0};
    StrBuf inputs = str_new(arena), outputs = str_new(arena);
    if (!model->entry) return cost;
    for (int i = 0; i < model->entry->inputs.len; i++)
        if (!model->entry->inputs.data[i]->leaf->most)
            str_printf(&inputs, "%s%s: %s", i ? ", " : "", model->input_names.data[i],
                       type_text(arena, model->entry->inputs.data[i]));
    for (int i = 0; i < model->entry->outputs.len; i++) {
        vec_push(arena, &roots, model->entry->outputs.data[i].node);
        str_printf(&outputs, "%s%s", i ? ", " : "", type_text(arena, model->results.data[i]));
    }
    Nodes reach = graph_reach(arena, roots.data, roots.len);
    for (int i = 0; i < reach.len; i++)
        cost.operations += node_operations(reach.data[i]);
    cost.input = str_text(&inputs);
    cost.output = str_text(&outputs);
    return cost;
}

static void models_print(Driver *driver, const Program *program)
{
    static const char *const thousands[] = {"", "k", "M", "G", "T", NULL};
    static const char *const bytes[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    int64_t size = program->trains.len || program->models.len ? 4 : 0;
    if (!strcmp(driver->options.real, "f64")) size = 8;
    if (program->models.len)
        printf("%-16s %12s %10s %10s  %s\n", "model", "parameters", "FLOPs", "bytes", "signature");
    for (int i = 0; i < program->models.len; i++) {
        const Model *model = program->models.data[i];
        ModelCost cost = model_cost(driver->arena, model);
        printf("%-16s %12s %10s %10s  (%s) -> %s\n", model->name,
               grouped(driver->arena, model->n_parameters),
               model->entry ? scaled(driver->arena, cost.operations, 1000, thousands) : "?",
               scaled(driver->arena, (double)(model->n_parameters * size), 1024, bytes), cost.input,
               cost.output);
    }
}

static void data_print(Driver *driver, const Program *program)
{
    static const char *const names[] = {"train", "valid", "test"};
    for (int i = 0; i < program->data.len; i++) {
        const DataSet *set = program->data.data[i];
        printf("%sdata %s:%s", i ? "" : "\n", set->name, set->fed ? "  fed by a host program" : "");
        for (int k = 0; k < SPLIT_COUNT && !set->fed; k++) {
            if (set->drawn && set->fractions[k] > 0)
                printf("  %s %g of %s", names[k], set->fractions[k],
                       grouped(driver->arena, set->splits[SPLIT_TRAIN].count));
            else if (!set->drawn && set->splits[k].present)
                printf("  %s %s", names[k], grouped(driver->arena, set->splits[k].count));
        }
        printf("\n");
    }
}

static void json_print(Driver *driver, const Program *program)
{
    int size = strcmp(driver->options.real, "f64") ? 4 : 8;
    printf("{\"models\": [");
    for (int i = 0; i < program->models.len; i++) {
        const Model *model = program->models.data[i];
        ModelCost cost = model_cost(driver->arena, model);
        printf("%s{\"name\": \"%s\", \"parameters\": %lld, \"flops\": %.0f, \"bytes\": %lld}",
               i ? ", " : "", model->name, (long long)model->n_parameters, cost.operations,
               (long long)model->n_parameters * size);
    }
    printf("]}\n");
}

int command_check(Driver *driver)
{
    if (driver->options.parse_only) {
        const Source *source = source_read(driver->context, driver->arguments.data[0], NO_SPAN);
        if (source) parse_file(driver->context, source);
        return diag_errors(driver->context) ? STATUS_WRONG : STATUS_DONE;
    }
    const Program *program = driver_program(driver);
    if (!program) return STATUS_WRONG;
    if (driver->options.json) {
        json_print(driver, program);
    } else {
        models_print(driver, program);
        data_print(driver, program);
    }
    return STATUS_DONE;
}
