/*
 * sandbox_filter.c - a program of the build: writes the filter of sandbox.def as C on standard output.
 *
 * libseccomp knows the numbers of the calls on each machine, and makes a search tree of them. Doing so at each start of
 * haspan would cost a millisecond and a library; the result is the same every time.
 */
#include "sandbox_private.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux has given about 470 numbers since 1991. */
#define CALLS_MAX 1024

/* Address families have small numbers; what lies above is refused as one. */
#define FAMILIES 64

/* Names of mappings in newer mallocs. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static const char *const allowed[] = {
#define ALLOW(call) #call,
#define SOFT(call)
#include "sandbox.def"
#undef ALLOW
#undef SOFT
};

static const char *const soft[] = {
#define ALLOW(call)
#define SOFT(call) #call,
#include "sandbox.def"
#undef ALLOW
#undef SOFT
};

static const char *const conditional[] = { "clone", "socket", "ioctl", "prctl", "kill", "tgkill" };

/* What isatty, terminals' widths, sockets and interfaces' numbers are asked by; not what types into a terminal. */
static const uint64_t requests[] = {
	TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, TIOCOUTQ, 0x8933,	/* SIOCGIFINDEX */
};
static const uint64_t controls[] = { PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_VMA, PR_GET_DUMPABLE };
static const uint64_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK /* the resolver asks for addresses */ };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static scmp_filter_ctx filter;

static void must(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "sandbox_filter: %s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

/* Calls that this kind of machine doesn't have are left out. */
static int number(const char *name)
{
	return seccomp_syscall_resolve_name_arch(SCMP_ARCH_NATIVE, name);
}

static void rule(uint32_t action, const char *name)
{
	int nr = number(name);

	if (nr >= 0)
		must(seccomp_rule_add(filter, action, nr, 0), name);
}

static void rule_if(uint32_t action, const char *name, struct scmp_arg_cmp condition)
{
	int nr = number(name);

	if (nr >= 0)
		must(seccomp_rule_add(filter, action, nr, 1, condition), name);
}

/* SCMP_A0_32 and its like leave a field out, which clang warns of. */
static struct scmp_arg_cmp word(unsigned arg, enum scmp_compare op, uint32_t value)
{
	return (struct scmp_arg_cmp){ .arg = arg, .op = op, .datum_a = value };
}

static bool among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static void conditions(void)
{
	bool wanted[FAMILIES] = { false };
	const unsigned flags = number("clone") >= 0 && seccomp_arch_native() == SCMP_ARCH_S390X ? 1 : 0;

	rule_if(SCMP_ACT_ALLOW, "clone", SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	rule_if(SCMP_ACT_TRAP, "clone", SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	for (size_t i = 0; i < COUNT(requests); i++)
		rule_if(SCMP_ACT_ALLOW, "ioctl", word(1, SCMP_CMP_EQ, (uint32_t)requests[i]));
	for (size_t i = 0; i < COUNT(controls); i++)
		rule_if(SCMP_ACT_ALLOW, "prctl", word(0, SCMP_CMP_EQ, (uint32_t)controls[i]));
	for (size_t i = 0; i < COUNT(families); i++)
		wanted[families[i]] = true;
	for (uint32_t i = 0; i < FAMILIES; i++)
		rule_if(wanted[i] ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP, "socket", word(0, SCMP_CMP_EQ, i));
	rule_if(SCMP_ACT_TRAP, "socket", word(0, SCMP_CMP_GT, FAMILIES - 1));
	/* The process's own number is put in when it is known. */
	rule_if(SCMP_ACT_ALLOW, "kill", word(0, SCMP_CMP_EQ, SANDBOX_PID));
	rule_if(SCMP_ACT_TRAP, "kill", word(0, SCMP_CMP_NE, SANDBOX_PID));
	rule_if(SCMP_ACT_ALLOW, "tgkill", word(0, SCMP_CMP_EQ, SANDBOX_PID));
	rule_if(SCMP_ACT_TRAP, "tgkill", word(0, SCMP_CMP_NE, SANDBOX_PID));
}

/* Refuse by name what is known and not listed; print the names for the message. */
static void refuse_others(void)
{
	printf("#define SANDBOX_REFUSED(X) \\\n");
	for (int nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (!name)
			continue;
		if (!among(name, allowed, COUNT(allowed)) && !among(name, soft, COUNT(soft))) {
			printf("\tX(%d, \"%s\") \\\n", nr, name);
			if (!among(name, conditional, COUNT(conditional)))
				rule(SCMP_ACT_TRAP, name);
		}
		free(name);
	}
	printf("\n");
}

static void print_filter(void)
{
	struct sock_filter insn;
	FILE *file = tmpfile();

	must(file ? 0 : -errno, "a temporary file");
	must(seccomp_export_bpf(filter, fileno(file)), "seccomp_export_bpf");
	rewind(file);
	printf("#define SANDBOX_FILTER \\\n");
	while (fread(&insn, sizeof(insn), 1, file) == 1)
		printf("\t{ 0x%x, %u, %u, 0x%x }, \\\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("\n");
	fclose(file);
}

int main(void)
{
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));		/* SOFT calls have no rule: this is theirs too */
	must(filter ? 0 : -ENOMEM, "seccomp_init");
	must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "libseccomp 2.5 or later is needed");
	printf("/* Made by sandbox_filter.c of sandbox.def. */\n");
	for (size_t i = 0; i < COUNT(allowed); i++)
		rule(SCMP_ACT_ALLOW, allowed[i]);
	conditions();
	refuse_others();
	print_filter();
	seccomp_release(filter);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
