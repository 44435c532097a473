/* base.c -- arenas, names, vectors, map, string builder and sources; see base.h. Diagnostics are in
 * diag.c. */
#include "base.h"
#include "context.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("nndc: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(3);
}

/* --- arenas --- */

typedef struct Block {
    struct Block *next;
    size_t used, size;
    max_align_t data[];
} Block;

struct Arena {
    Block *blocks;
    const Block *lent; /* the caller's memory, which is not zero and is not freed */
};

/* Blocks double from the first to the largest: most arenas live for one short walk, and to clear a
 * large block would cost more than the walk. */
enum { BLOCK_FIRST = 1 << 11, BLOCK_SIZE = 1 << 16 };

Arena *arena_new(void)
{
    Arena *arena = calloc(1, sizeof *arena);
    if (!arena) die("out of memory");
    return arena;
}

Arena *arena_within(void *memory, size_t size)
{
    Arena *arena = memory;
    Block *block = (Block *)((max_align_t *)memory + 1);
    assert(sizeof *arena <= sizeof(max_align_t) && size > sizeof(max_align_t) + sizeof *block);
    *block = (Block){.size = size - sizeof(max_align_t) - sizeof *block};
    *arena = (Arena){.blocks = block, .lent = block};
    return arena;
}

void arena_free(Arena *arena)
{
    if (!arena) return;
    bool lent = arena->lent != NULL;
    for (Block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        if (block != arena->lent) free(block);
    }
    if (!lent) free(arena);
}

void *arena_alloc(Arena *arena, size_t size)
{
    size_t align = sizeof(max_align_t);
    if (size > SIZE_MAX - 2 * sizeof(Block) - align) die("out of memory (%zu bytes)", size);
    size = (size + align - 1) / align * align;
    if (size == 0) size = align;
    Block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        size_t room = block ? 2 * block->size : BLOCK_FIRST;
        if (room < BLOCK_FIRST) room = BLOCK_FIRST;
        if (room > BLOCK_SIZE) room = BLOCK_SIZE;
        if (size > room / 4) room = size;
        block = calloc(1, sizeof *block + room);
        if (!block) die("out of memory (%zu bytes)", size);
        block->size = room;
        /* A large block of its own goes behind the current one, which may still have room. */
        if (room == size && arena->blocks) {
            block->next = arena->blocks->next;
            arena->blocks->next = block;
        } else {
            block->next = arena->blocks;
            arena->blocks = block;
        }
    }
    void *result = (char *)block->data + block->used;
    block->used += size;
    return block == arena->lent ? memset(result, 0, size) : result;
}

void *arena_copy(Arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (size) memcpy(copy, data, size);
    return copy;
}

char *arena_strdup(Arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text) + 1);
}

char *arena_vprintf(Arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) die("cannot format a message");
    char *text = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

/* --- vectors --- */

void *vec_grow(Arena *arena, void *data, int len, int *cap, size_t item)
{
    if (len < *cap) return data;
    int room = *cap ? 2 * *cap : 8;
    void *grown = arena_alloc(arena, item * (size_t)room);
    if (len) memcpy(grown, data, item * (size_t)len);
    *cap = room;
    return grown;
}

/* --- map: open addressing, never shrinks --- */

Map map_new(Arena *arena)
{
    return (Map){.arena = arena};
}

static size_t map_hash(const void *key)
{
    uint64_t h = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ (h >> 29));
}

static struct MapSlot *map_slot(const Map *map, const void *key)
{
    size_t mask = (size_t)map->cap - 1;
    size_t i = map_hash(key) & mask;
    while (map->slots[i].value && map->slots[i].key != key)
        i = (i + 1) & mask;
    return &map->slots[i];
}

void *map_get(const Map *map, const void *key)
{
    return map->cap ? map_slot(map, key)->value : NULL;
}

void map_put(Map *map, const void *key, void *value)
{
    assert(value);
    if (2 * (map->len + 1) > map->cap) {
        Map bigger = {.arena = map->arena, .cap = map->cap ? 2 * map->cap : 16};
        bigger.slots = NEW_ARRAY(map->arena, struct MapSlot, bigger.cap);
        for (int i = 0; i < map->cap; i++)
            if (map->slots[i].value) *map_slot(&bigger, map->slots[i].key) = map->slots[i];
        bigger.len = map->len;
        *map = bigger;
    }
    struct MapSlot *slot = map_slot(map, key);
    if (!slot->value) map->len++;
    *slot = (struct MapSlot){key, value};
}

/* --- string builder --- */

StrBuf str_new(Arena *arena)
{
    return (StrBuf){.arena = arena};
}

void str_add_n(StrBuf *s, const char *text, size_t n)
{
    if (s->len + n + 1 > s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        while (cap < s->len + n + 1)
            cap *= 2;
        char *grown = arena_alloc(s->arena, cap);
        if (s->len) memcpy(grown, s->text, s->len);
        s->text = grown;
        s->cap = cap;
    }
    memcpy(s->text + s->len, text, n);
    s->len += n;
    s->text[s->len] = '\0';
}

void str_add(StrBuf *s, const char *text)
{
    str_add_n(s, text, strlen(text));
}

void str_printf(StrBuf *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int n = vsnprintf(small, sizeof small, format, args);
    if (n < (int)sizeof small)
        str_add_n(s, small, n < 0 ? 0 : (size_t)n);
    else
        str_add(s, arena_vprintf(s->arena, format, again));
    va_end(again);
    va_end(args);
}

const char *str_text(const StrBuf *s)
{
    return s->text ? s->text : "";
}

/* --- context and names --- */

Context *context_new(void)
{
    Arena *arena = arena_new();
    Context *context = NEW(arena, Context);
    context->arena = arena;
    vec_push(arena, &context->sources, NULL); /* source 0: no place */
    return context;
}

void context_free(Context *context)
{
    if (context) arena_free(context->arena);
}

Arena *context_arena(Context *context)
{
    return context->arena;
}

static uint64_t text_hash(const char *text, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ (h >> 32);
}

static void names_grow(Context *context)
{
    int cap = context->names_cap ? 2 * context->names_cap : 1024;
    struct NameEntry **table = NEW_ARRAY(context->arena, struct NameEntry *, cap);
    for (int i = 0; i < context->names_cap; i++)
        for (struct NameEntry *entry = context->names[i], *next; entry; entry = next) {
            next = entry->next;
            struct NameEntry **head = &table[entry->hash & (uint64_t)(cap - 1)];
            entry->next = *head;
            *head = entry;
        }
    context->names = table;
    context->names_cap = cap;
}

Name name_intern(Context *context, const char *text, size_t len)
{
    if (context->names_len >= context->names_cap) names_grow(context);
    uint64_t hash = text_hash(text, len);
    struct NameEntry **head = &context->names[hash & (uint64_t)(context->names_cap - 1)];
    for (struct NameEntry *entry = *head; entry; entry = entry->next)
        if (entry->hash == hash && entry->len == len && memcmp(entry->text, text, len) == 0)
            return entry->text;
    struct NameEntry *entry = arena_alloc(context->arena, sizeof *entry + len + 1);
    memcpy(entry->text, text, len);
    entry->len = len;
    entry->hash = hash;
    entry->next = *head;
    *head = entry;
    context->names_len++;
    return entry->text;
}

Name name_of(Context *context, const char *text)
{
    return name_intern(context, text, strlen(text));
}

Name name_printf(Context *context, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(context->arena, format, args);
    va_end(args);
    return name_of(context, text);
}

NameSet names_new(Context *context, Arena *arena)
{
    return (NameSet){context, map_new(arena)};
}

static void names_number(NameSet *names, Name name, intptr_t next)
{
    map_put(&names->next, name, (void *)next);
}

void names_take(NameSet *names, const char *text)
{
    Name name = name_of(names->context, text);
    if (!map_get(&names->next, name)) names_number(names, name, 2);
}

Name names_fresh(NameSet *names, const char *wanted)
{
    Name base = name_of(names->context, wanted), name = base;
    intptr_t n = (intptr_t)map_get(&names->next, base);
    while (map_get(&names->next, name))
        name = name_printf(names->context, "%s_%d", base, (int)n++);
    if (name != base) names_number(names, base, n);
    names_number(names, name, 2);
    return name;
}

/* --- sources --- */

const Source *source_add(Context *context, const char *path, const char *text, size_t size,
                         bool library)
{
    Source *source = NEW(context->arena, Source);
    char *copy = arena_alloc(context->arena, size + 1);
    memcpy(copy, text, size);
    source->path = arena_strdup(context->arena, path);
    source->text = copy;
    source->size = size;
    source->index = context->sources.len;
    source->library = library;
    vec_push(context->arena, &context->sources, source);
    return source;
}

enum { SOURCE_MAX = 16 << 20 };

const Source *source_read(Context *context, const char *path, Span from)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        diag_error(context, from, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    StrBuf text = str_new(context->arena);
    char buffer[1 << 14];
    size_t n;
    while (text.len <= SOURCE_MAX && (n = fread(buffer, 1, sizeof buffer, file)) > 0)
        str_add_n(&text, buffer, n);
    bool bad = ferror(file) != 0;
    int cause = errno;
    fclose(file);
    if (bad) {
        diag_error(context, from, "cannot read %s: %s", path, strerror(cause));
        return NULL;
    }
    if (text.len > SOURCE_MAX) {
        diag_error(context, from, "%s is larger than %d MiB: is it a program?", path, SOURCE_MAX >> 20);
        return NULL;
    }
    return source_add(context, path, str_text(&text), text.len, false);
}

const Source *source_get(const Context *context, int index)
{
    return index > 0 && index < context->sources.len ? context->sources.data[index] : NULL;
}

Span span_join(Span a, Span b)
{
    if (!a.line) return b;
    if (!b.line || b.source != a.source) return a;
    if (b.line < a.line || (b.line == a.line && b.col < a.col)) {
        a.line = b.line;
        a.col = b.col;
    }
    if (b.end_line > a.end_line || (b.end_line == a.end_line && b.end_col > a.end_col)) {
        a.end_line = b.end_line;
        a.end_col = b.end_col;
    }
    return a;
}
