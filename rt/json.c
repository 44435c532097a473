/* json.c -- a strict reader of the small JSON that headers are made of: objects, arrays, strings
 * and non-negative integers, read by recursive descent in the caller, one thing per call. The text
 * has a length and is never read beyond it. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>

static void json_skip(NndJson *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r'))
        json->at++;
}

static int json_fail(const NndJson *json, const char *wanted)
{
    return nnd_error(json->error, "%s: corrupt header: %s is expected at byte %lld", json->what,
                     wanted, (long long)(json->at - json->begin));
}

bool nnd_json_next_is(NndJson *json, char punctuation)
{
    json_skip(json);
    return json->at < json->end && *json->at == punctuation;
}

int nnd_json_expect(NndJson *json, char punctuation)
{
    char wanted[4] = {'\'', punctuation, '\'', 0};
    if (!nnd_json_next_is(json, punctuation)) return json_fail(json, wanted);
    json->at++;
    return 0;
}

int nnd_json_end(NndJson *json)
{
    json_skip(json);
    return json->at == json->end ? 0 : json_fail(json, "the end");
}

int nnd_json_integer(NndJson *json, int64_t *value)
{
    json_skip(json);
    const char *begin = json->at;
    *value = 0;
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, *json->at - '0', value))
            return json_fail(json, "a number of 63 bits");
    if (json->at == begin || (*begin == '0' && json->at - begin > 1))
        return json_fail(json, "a non-negative integer");
    return 0;
}

/* Four hexadecimal digits behind \u; -1 if they are none. */
static int32_t json_hex(NndJson *json)
{
    int32_t value = 0;
    if (json->end - json->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *json->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *json_utf8(char *dst, int32_t code)
{
    if (code < 0x80) {
        *dst++ = (char)code;
    } else if (code < 0x800) {
        *dst++ = (char)(0xc0 | code >> 6);
        *dst++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *dst++ = (char)(0xe0 | code >> 12);
        *dst++ = (char)(0x80 | (code >> 6 & 63));
        *dst++ = (char)(0x80 | (code & 63));
    } else {
        *dst++ = (char)(0xf0 | code >> 18);
        *dst++ = (char)(0x80 | (code >> 12 & 63));
        *dst++ = (char)(0x80 | (code >> 6 & 63));
        *dst++ = (char)(0x80 | (code & 63));
    }
    return dst;
}

/* Reads what follows a backslash; NULL if it is no escape. Never longer than its text. */
static char *json_escape(NndJson *json, char *dst)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (json->at == json->end) return NULL;
    char c = *json->at++;
    const char *known = c == 0 ? NULL : strchr(from, c);
    if (known != NULL) {
        *dst++ = to[known - from];
        return dst;
    }
    if (c != 'u') return NULL;
    int32_t code = json_hex(json);
    if (code >= 0xd800 && code < 0xdc00) {
        if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u') return NULL;
        json->at += 2;
        int32_t low = json_hex(json);
        if (low < 0xdc00 || low > 0xdfff) return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return NULL;
    }
    return code <= 0 ? NULL : json_utf8(dst, code);
}

int nnd_json_string(NndJson *json, char **text)
{
    *text = NULL;
    if (!nnd_json_next_is(json, '"')) return json_fail(json, "a string");
    const char *begin = ++json->at;
    while (json->at < json->end && *json->at != '"')
        json->at += *json->at == '\\' ? 2 : 1;
    if (json->at >= json->end) {
        json->at = json->end;
        return json_fail(json, "the end of a string");
    }
    const char *end = json->at;
    char *dst = *text = malloc((size_t)(end - begin) + 1);
    if (dst == NULL) return nnd_error(json->error, "%s: out of memory", json->what);
    for (json->at = begin; json->at < end;) {
        unsigned char c = (unsigned char)*json->at++;
        if (c == '\\')
            dst = json_escape(json, dst);
        else if (c < 0x20)
            dst = NULL;
        else
            *dst++ = (char)c;
        if (dst == NULL) {
            free(*text);
            *text = NULL;
            return json_fail(json, "a proper character of a string before what stands");
        }
    }
    *dst = 0;
    json->at = end + 1;
    return 0;
}

char *nnd_json_quote(char *dst, const char *text)
{
    *dst++ = '"';
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20) {
            dst += sprintf(dst, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\') *dst++ = '\\';
        *dst++ = (char)c;
    }
    *dst++ = '"';
    *dst = 0;
    return dst;
}
