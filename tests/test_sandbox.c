/* What the sandbox lets through and what it does not: each in a process of its own, since there is no way back. */
#include "core/log.h"
#include "sandbox.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What a child says by its exit code. */
enum { LET = 40, REFUSED = 41, NOT_INSIDE = 42 };

static char root[64];			/* the tests' folder */
static struct config config;
static const char *rereads[3];

static const char *path_to(const char *name)
{
	static char text[8][256];
	static unsigned next;
	char *out = text[next++ % 8];

	snprintf(out, sizeof(text[0]), "%s/%s", root, name);
	return out;
}

static void make_file(const char *name)
{
	int fd = open(path_to(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
}

static int setup(void **state)
{
	static char source[256], follow[256], sink[256], tls[512], link_source[256];
	static const char *const folders[] = { "logs", "real", "keys", "conf", "sinks", "spool", "secret", "linked" };

	(void)state;
	snprintf(root, sizeof(root), "/tmp/haspan-sandbox-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		assert_int_equal(mkdir(path_to(folders[i]), 0777), 0);
	make_file("logs/a.log");
	make_file("real/b.log");
	make_file("keys/k%.pem");
	make_file("conf/haspan.conf");
	make_file("secret/s");
	make_file("sinks/old");
	assert_int_equal(symlink(path_to("real/b.log"), path_to("linked/b.log")), 0);
	snprintf(source, sizeof(source), "%s/logs/*.log", root);
	snprintf(follow, sizeof(follow), "follow:%s/logs/later.log?start=end", root);
	snprintf(link_source, sizeof(link_source), "file:%s/linked/b.log", root);
	snprintf(tls, sizeof(tls), "tls://127.0.0.1:0?cert=%s/keys/k%%25.pem", root);
	snprintf(sink, sizeof(sink), "file:%s/sinks/out.jsonl", root);
	config.sources[0] = slice_str(source);
	config.sources[1] = slice_str(follow);
	config.sources[2] = slice_str(link_source);
	config.sources[3] = slice_str(tls);
	config.nsources = 4;
	config.sinks[0] = slice_str(sink);
	config.nsinks = 1;
	config.export.spool = strdup(path_to("spool"));
	config.live.state = strdup(path_to("state"));
	rereads[0] = strdup(path_to("conf/haspan.conf"));
	config.rereads = rereads;
	config.sandbox = true;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	free((char *)(uintptr_t)config.export.spool);
	free((char *)(uintptr_t)config.live.state);
	free((char *)(uintptr_t)rereads[0]);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* ---- a child in the sandbox ------------------------------------------------------------------------------ */

static char said[4096];			/* by the last child, on stderr */

/* Do it inside: LET, REFUSED, or the code with which the sandbox ended it. Skips the test where there is no inside. */
static int inside(bool (*act)(void))
{
	int out[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		sandbox_enter(&config);
		if (config.sandbox && !sandbox_entered())
			_exit(NOT_INSIDE);
		_exit(act() ? LET : REFUSED);
	}
	close(out[1]);
	while ((got = read(out[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("the child ended by signal %d: %s", WTERMSIG(status), said);
	if (WEXITSTATUS(status) == NOT_INSIDE)
		skip();
	return WEXITSTATUS(status);
}

#define LETS(act) assert_int_equal(inside(act), LET)

/* ... ends it, with the name of the call, and says what to do. */
static void ends(bool (*act)(void), const char *call)
{
	assert_int_equal(inside(act), EXIT_CONFIG);
	if (!strstr(said, call) || !strstr(said, "--sandbox off"))
		fail_msg("it said: %s", said);
}

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	else if (errno != EACCES && errno != EXDEV)
		fprintf(stderr, "%s: %m\n", path);
	return fd >= 0;
}

static bool every(const bool *done, size_t n)
{
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		if (!done[i])
			fprintf(stderr, "number %zu was refused\n", i);
		all &= done[i];
	}
	return all;
}

#define ALL(...) every((const bool[]){ __VA_ARGS__ }, sizeof((const bool[]){ __VA_ARGS__ }))

static bool some(const bool *done, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (done[i]) {
			fprintf(stderr, "number %zu was let through\n", i);
			return true;
		}
	return false;
}
#define ANY(...) some((const bool[]){ __VA_ARGS__ }, sizeof((const bool[]){ __VA_ARGS__ }))

/* ---- files ----------------------------------------------------------------------------------------------- */

static bool read_what_is_named(void)
{
	return ALL(opens(path_to("logs/a.log"), O_RDONLY), opens(path_to("linked/b.log"), O_RDONLY),
		   opens(path_to("logs"), O_RDONLY | O_DIRECTORY), opens(path_to("keys/k%.pem"), O_RDONLY),
		   opens(path_to("conf/haspan.conf"), O_RDONLY), opens("/etc/hosts", O_RDONLY),
		   opens("/etc/ssl/openssl.cnf", O_RDONLY), opens("/proc/self/status", O_RDONLY),
		   opens("/dev/urandom", O_RDONLY), opens("/dev/null", O_RDWR));
}

static void sources_keys_and_configuration_are_readable(void **state)
{
	(void)state;
	LETS(read_what_is_named);
}

static int entered_now[2];		/* pipe: the child says that it is inside */

static bool read_what_appears(void)
{
	bool appeared = false;

	if (write(entered_now[1], "", 1) != 1)
		return false;
	for (int i = 0; i < 1000 && !appeared; i++) {
		usleep(10000);
		appeared = access(path_to("later/on/x.log"), F_OK) == 0;
	}
	return opens(path_to("later/on/x.log"), O_RDONLY);
}

static void a_folder_that_appears_later_is_readable(void **state)
{
	static char later[256];
	const struct slice before = config.sources[1];
	char c;

	(void)state;
	assert_int_equal(mkdir(path_to("later"), 0777), 0);
	snprintf(later, sizeof(later), "follow:%s/later/on/x.log", root);
	config.sources[1] = slice_str(later);
	assert_int_equal(pipe(entered_now), 0);
	fflush(NULL);
	if (fork() == 0) {
		close(entered_now[1]);
		if (read(entered_now[0], &c, 1) == 1) {
			mkdir(path_to("later/on"), 0777);
			close(open(path_to("later/on/x.log"), O_WRONLY | O_CREAT, 0666));
		}
		_exit(0);
	}
	LETS(read_what_appears);
	close(entered_now[0]);
	close(entered_now[1]);
	wait(NULL);
	config.sources[1] = before;
}

static bool read_a_new_file(void)
{
	return opens(path_to("logs/a.log"), O_RDONLY);
}

static void a_file_that_was_rotated_is_readable(void **state)
{
	(void)state;
	make_file("logs/new");
	assert_int_equal(rename(path_to("logs/new"), path_to("logs/a.log")), 0);
	LETS(read_a_new_file);
}

static bool write_what_is_named(void)
{
	return ALL(opens(path_to("sinks/out.jsonl"), O_WRONLY | O_CREAT | O_TRUNC),
		   opens(path_to("spool/1.tmp"), O_WRONLY | O_CREAT),
		   rename(path_to("spool/1.tmp"), path_to("spool/1")) == 0, truncate(path_to("spool/1"), 0) == 0,
		   opens(path_to("spool/1"), O_RDONLY), mkdir(path_to("spool/sub"), 0700) == 0,
		   opens(path_to("spool/sub/2"), O_RDWR | O_CREAT),
		   rename(path_to("spool/sub/2"), path_to("spool/2")) == 0, unlink(path_to("spool/1")) == 0,
		   unlink(path_to("spool/2")) == 0, rmdir(path_to("spool/sub")) == 0,
		   opens(path_to("state/checkpoint"), O_RDWR | O_CREAT));
}

static void sinks_spool_and_state_are_writable(void **state)
{
	(void)state;
	LETS(write_what_is_named);
}

static bool read_or_write_others(void)
{
	return ANY(opens(path_to("secret/s"), O_RDONLY), opens(path_to("secret"), O_RDONLY | O_DIRECTORY),
		   opens("/root", O_RDONLY | O_DIRECTORY), opens("/etc/shadow", O_WRONLY),
		   opens("/etc/new", O_WRONLY | O_CREAT), opens(path_to("logs/a.log"), O_WRONLY),
		   opens(path_to("logs/new"), O_WRONLY | O_CREAT), opens(path_to("conf/haspan.conf"), O_RDWR),
		   opens(path_to("sinks/old"), O_RDONLY), opens("/usr/new", O_WRONLY | O_CREAT),
		   truncate(path_to("logs/a.log"), 0) == 0, unlink(path_to("logs/a.log")) == 0,
		   unlink(path_to("sinks/old")) == 0, rename(path_to("logs/a.log"), path_to("spool/a")) == 0,
		   link(path_to("secret/s"), path_to("spool/s")) == 0, mkdir(path_to("sinks/sub"), 0700) == 0,
		   opens("/proc/sys/kernel/core_pattern", O_WRONLY), opens("/dev/vda", O_RDONLY));
}

static bool say_what_was_refused(void)
{
	struct err err = { 0 };

	errno = EACCES;
	err_set(&err, EXIT_INPUT, "cannot open it: %m");
	errno = EACCES;
	log_warn("cannot write: %m");
	errno = ENOENT;
	log_warn("not there: %m");
	return strstr(err.text, "denied (by its permissions, or by the sandbox") != NULL;
}

static void who_is_refused_a_file_is_told_why(void **state)
{
	(void)state;
	LETS(say_what_was_refused);
	assert_non_null(strstr(said, "warning: cannot write: Permission denied (by its permissions, or by the sandbox"));
	assert_non_null(strstr(said, "not there: No such file or directory\n"));
}

static void other_files_are_out_of_reach(void **state)
{
	(void)state;
	if (inside(read_or_write_others) != REFUSED)
		fail_msg("%s", said);
}

/* ---- calls ----------------------------------------------------------------------------------------------- */

static void *nothing(void *arg)
{
	return arg;
}

static bool live_as_usual(void)
{
	struct addrinfo *found = NULL;
	pthread_t thread;
	bool resolved = getaddrinfo("localhost", "4318", NULL, &found) == 0;

	freeaddrinfo(found);
	signal(SIGUSR1, SIG_IGN);
	return ALL(resolved, dlopen("libcurl.so.4", RTLD_NOW) != NULL, pthread_create(&thread, NULL, nothing, NULL) == 0,
		   pthread_join(thread, NULL) == 0, raise(SIGUSR1) == 0, kill(getpid(), SIGUSR1) == 0,
		   socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT, socket(AF_UNIX, SOCK_STREAM, 0) >= 0,
		   syscall(1000) == -1 && errno == ENOSYS, syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS,
		   isatty(0) || errno != ENOSYS);
}

static void threads_sockets_and_libraries_work(void **state)
{
	(void)state;
	if (inside(live_as_usual) != LET)
		fail_msg("%s", said);
}

static bool act_exec(void) { return execl("/bin/true", "true", NULL) == 0; }
static bool act_fork(void) { return fork() >= 0; }
static bool act_vfork(void) { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }
static bool act_ptrace(void) { return ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0; }
static bool act_mount(void) { return mount("none", "/mnt", "tmpfs", 0, NULL) == 0; }
static bool act_bpf(void) { return syscall(SYS_bpf, 0, NULL, 0) >= 0; }
static bool act_packet(void) { return socket(AF_PACKET, SOCK_RAW, 0) >= 0; }
static bool act_vsock(void) { return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0; }
static bool act_family(void) { return socket(1 << 20, SOCK_STREAM, 0) >= 0; }
static bool act_kill(void) { return kill(getppid(), 0) == 0; }
static bool act_setuid(void) { return setuid(1) == 0; }
static bool act_chroot(void) { return chroot("/") == 0; }
static bool act_unshare(void) { return syscall(SYS_unshare, 0) == 0; }
static bool act_vm(void) { return process_vm_readv(getppid(), NULL, 0, NULL, 0, 0) == 0; }
static bool act_module(void) { return syscall(SYS_init_module, NULL, 0, "") == 0; }

static void *exec_in_a_thread(void *arg)
{
	act_exec();
	return arg;
}

static bool act_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_in_a_thread, NULL);
	pthread_join(thread, NULL);
	return true;
}

static void calls_that_haspan_never_makes_end_it(void **state)
{
	(void)state;
	ends(act_exec, " execve,");
	ends(act_thread, " execve,");
	ends(act_fork, " clone,");
	ends(act_vfork, " clone,");
	ends(act_ptrace, " ptrace,");
	ends(act_mount, " mount,");
	ends(act_bpf, " bpf,");
	ends(act_packet, " socket,");
	ends(act_vsock, " socket,");
	ends(act_family, " socket,");
	ends(act_kill, " kill,");
	ends(act_setuid, " setuid,");
	ends(act_chroot, " chroot,");
	ends(act_unshare, " unshare,");
	ends(act_vm, " process_vm_readv,");
	ends(act_module, " init_module,");
}

static bool act_type(void)
{
	return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x") == 0 || errno != ENOSYS;
}

static void nothing_is_typed_into_the_terminal(void **state)
{
	(void)state;
	assert_int_equal(inside(act_type), REFUSED);
}

/* ---- as a whole ------------------------------------------------------------------------------------------ */

static bool read_secret(void)
{
	return opens(path_to("secret/s"), O_RDONLY);
}

static void off_is_off(void **state)
{
	(void)state;
	config.sandbox = false;
	LETS(read_secret);
	config.sandbox = true;
}

/* 1 ms is what start may cost; the fastest of some, since other programs run too. */
static void it_costs_less_than_a_millisecond(void **state)
{
	int64_t best = INT64_MAX;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t took = 0;
		int fd[2];

		assert_int_equal(pipe(fd), 0);
		if (fork() == 0) {
			struct timespec a, b;

			clock_gettime(CLOCK_MONOTONIC, &a);
			sandbox_enter(&config);
			clock_gettime(CLOCK_MONOTONIC, &b);
			took = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
			_exit(write(fd[1], &took, sizeof(took)) != sizeof(took));
		}
		assert_int_equal(read(fd[0], &took, sizeof(took)), sizeof(took));
		close(fd[0]);
		close(fd[1]);
		wait(NULL);
		best = took < best ? took : best;
	}
	print_message("sandbox_enter: %lld us\n", (long long)best);
	assert_true(best < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_keys_and_configuration_are_readable),
		cmocka_unit_test(a_file_that_was_rotated_is_readable),
		cmocka_unit_test(a_folder_that_appears_later_is_readable),
		cmocka_unit_test(sinks_spool_and_state_are_writable),
		cmocka_unit_test(other_files_are_out_of_reach),
		cmocka_unit_test(who_is_refused_a_file_is_told_why),
		cmocka_unit_test(threads_sockets_and_libraries_work),
		cmocka_unit_test(calls_that_haspan_never_makes_end_it),
		cmocka_unit_test(nothing_is_typed_into_the_terminal),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(it_costs_less_than_a_millisecond),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
