#include "sandbox_private.h"

#include "core/err.h"
#include "sandbox_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *call_name(int nr)
{
#define X(number, name) \
	if (nr == number) \
		return name;
	SANDBOX_REFUSED(X)
#undef X
	return "of another architecture";
}

/* Whatever was running is in the middle of something: only what is safe in a handler of signals. */
static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	say("haspan: the sandbox refused the system call ");
	say(call_name(info->si_syscall));
	say(", which haspan does not make: either a library needs it (--sandbox off lets it), or somebody else gave orders here\n");
	_exit(EXIT_CONFIG);
}

bool filter_enter(void)
{
	struct sock_filter insns[] = { SANDBOX_FILTER };
	struct sock_fprog program = { .len = sizeof(insns) / sizeof(insns[0]), .filter = insns };
	struct sigaction action = { .sa_sigaction = refused, .sa_flags = SA_SIGINFO };

	for (size_t i = 0; i < program.len; i++)
		if (insns[i].k == SANDBOX_PID)
			insns[i].k = (unsigned)getpid();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sigaction(SIGSYS, &action, NULL) != 0)
		return false;
	/*
	 * SPEC_ALLOW: older kernels slow down every program that has a filter, for the sake of those that run the code of
	 * others. haspan runs none.
	 */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &program) == 0;
}
