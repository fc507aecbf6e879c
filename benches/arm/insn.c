/*
 * A TCG plugin for qemu-aarch64: counts the instructions that the guest executes, in all and by class. At every write to
 * standard output it appends the counts so far as one line to a file, so between the answers of a program that answers
 * one line a frame lies one frame. count.py compiles and runs it:
 *
 *   gcc -O2 -shared -fPIC -o libinsn.so insn.c
 *   qemu-aarch64 -plugin ./libinsn.so,out=COUNTS ./program
 *
 * The columns: all, dot, imul, fmul, load, store (see `patterns`). A class counts instructions, not lanes or bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Version 1 of QEMU's plugin interface (QEMU 4.2 to 8.2), as much of it as is used; Debian packages no header. */
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
enum { INLINE_ADD_U64 = 0 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned vcpu, int64_t number, uint64_t,
    uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { SYS_WRITE = 64 };   /* aarch64's number, whatever the host's is */
enum { ALL, DOT, IMUL, FMUL, LOAD, STORE, OTHER };

/* What an instruction is by its fixed bits; the first that fits. The names stand for all sizes and signs. */
static const struct { uint32_t mask, bits; int class; } patterns[] = {
    {0x9f20fc00, 0x0e009400, DOT},    /* sdot, udot */
    {0xbf20fc00, 0x0e009c00, DOT},    /* usdot */
    {0x9f20f400, 0x0e00a400, DOT},    /* smmla, usmmla */
    {0x9f00f400, 0x0f00e000, DOT},    /* sdot by element */
    {0xbf00f400, 0x0f00f000, DOT},    /* usdot by element */
    {0x9f20fc00, 0x0e209400, IMUL},   /* mla, mls */
    {0x9f20fc00, 0x0e209c00, IMUL},   /* mul, pmul */
    {0x9f20fc00, 0x0e20b400, IMUL},   /* sqdmulh, sqrdmulh */
    {0x9f208c00, 0x0e208000, IMUL},   /* smull, smlal, smlsl, sqdmull … and their "2" */
    {0xbf00b400, 0x2f000000, IMUL},   /* mla, mls by element */
    {0x9f003400, 0x0f002000, IMUL},   /* smull, smlal, smlsl by element */
    {0xbf00f400, 0x0f008000, IMUL},   /* mul by element */
    {0xbf00e400, 0x0f00c000, IMUL},   /* sqdmulh, sqrdmulh by element */
    {0x9f003400, 0x0f003000, IMUL},   /* sqdmull, sqdmlal, sqdmlsl by element */
    {0xbf20fc00, 0x0e20cc00, FMUL},   /* fmla, fmls */
    {0xbfa0fc00, 0x2e20dc00, FMUL},   /* fmul */
    {0xbf60fc00, 0x0e400c00, FMUL},   /* fmla, fmls of halves */
    {0xbfe0fc00, 0x2e401c00, FMUL},   /* fmul of halves */
    {0xbf00b400, 0x0f001000, FMUL},   /* fmla, fmls by element */
    {0xbf00f400, 0x0f009000, FMUL},   /* fmul by element */
    {0xff000000, 0x1f000000, FMUL},   /* scalar fmadd, fmsub … */
    {0xff207c00, 0x1e200800, FMUL},   /* scalar fmul, fnmul */
    {0xff00b400, 0x5f001000, FMUL},   /* scalar fmla, fmls by element */
    {0xff00f400, 0x5f009000, FMUL},   /* scalar fmul by element */
    {0xfec00000, 0xf8800000, OTHER},  /* prfm */
    {0x3b000000, 0x18000000, LOAD},   /* ldr of a literal */
    {0x3a400000, 0x28400000, LOAD},   /* ldp */
    {0x3a400000, 0x28000000, STORE},  /* stp */
    {0xbe400000, 0x0c400000, LOAD},   /* ld1 … ld4 */
    {0xbe400000, 0x0c000000, STORE},  /* st1 … st4 */
    {0x3f400000, 0x08400000, LOAD},   /* ldar, ldxr */
    {0x3f400000, 0x08000000, STORE},  /* stlr, stxr */
    {0x3e400000, 0x3c400000, LOAD},   /* ldr of a SIMD register */
    {0x3e400000, 0x3c000000, STORE},  /* str of one */
    {0x3ec00000, 0x38000000, STORE},  /* str, and atomic operations */
    {0x3e000000, 0x38000000, LOAD},   /* ldr */
};

static uint64_t counts[OTHER];
static FILE *out;

static int class_of(uint32_t insn) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if ((insn & patterns[i].mask) == patterns[i].bits) return patterns[i].class;
    return OTHER;
}

/* A block of straight-line code was translated: have it add what it holds to the counts whenever it runs. */
static void translated(plugin_id id, struct qemu_plugin_tb *tb) {
    uint64_t here[OTHER + 1] = {0};
    (void)id;
    here[ALL] = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < here[ALL]; i++) {
        uint32_t insn;
        memcpy(&insn, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof insn);
        here[class_of(insn)]++;
    }
    for (int c = ALL; c < OTHER; c++)
        if (here[c]) qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &counts[c], here[c]);
}

static void syscalled(plugin_id id, unsigned vcpu, int64_t number, uint64_t fd, uint64_t a2, uint64_t a3, uint64_t a4,
                      uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != SYS_WRITE || fd != 1) return;
    for (int c = ALL; c < OTHER; c++) fprintf(out, "%s%llu", c ? " " : "", (unsigned long long)counts[c]);
    fputc('\n', out);
    fflush(out);
}

/* `info` describes the guest; nothing of it is needed. */
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(out = fopen(argv[0] + 4, "w"))) {
        fprintf(stderr, "insn: give a file that can be written, as in -plugin libinsn.so,out=FILE\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, syscalled);
    return 0;
}
