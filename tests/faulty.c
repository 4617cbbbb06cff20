/*
 * faulty FAULT - what a sanitizer must find: tests/sanitized.sh compiles it as all of the program is compiled.
 *
 * Exit code 0 when nobody has noticed.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero;	/* what the compiler can't know */
static int shared;

static int behind(void)
{
	char *p = calloc(8, 1);
	int c = p ? p[8 + zero] : 1;

	free(p);
	return c;
}

static int freed(void)
{
	char *volatile p = calloc(8, 1);	/* lest the compiler warns of it */

	free(p);
	return p ? p[zero] : 1;
}

static int overflow(void)
{
	return INT_MAX - zero + 1 > 0;
}

static int shift(void)
{
	return 1 << (32 + zero);
}

static int leak(void)
{
	char *volatile p = malloc(8);

	p = NULL;
	return p != NULL;
}

static void *touch(void *arg)
{
	shared++;
	return arg;
}

static int race(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, touch, NULL) != 0)
		return 1;
	shared++;
	pthread_join(other, NULL);
	return shared == 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} faults[] = {
		{ "behind", behind }, { "freed", freed }, { "overflow", overflow },
		{ "shift", shift },   { "leak", leak },	  { "race", race },
	};

	for (size_t i = 0; argc == 2 && i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(argv[1], faults[i].name) == 0) {
			printf("%d\n", faults[i].run());
			return 0;
		}
	return 0;
}
