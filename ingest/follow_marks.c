#include "ingest/follow.h"

void marks_init(struct marks *m)
{
	pthread_mutex_init(&m->lock, NULL);
	m->n = 0;
}

/*
 * Fewer places at which a checkpoint can be, over the same stretch. The newest stays: nothing else stands for its
 * end.
 */
static void thin_out(struct marks *m)
{
	uint32_t kept = 0;

	for (uint32_t i = 1 - m->n % 2; i < m->n; i += 2)
		m->v[kept++] = m->v[i];
	m->n = kept;
}

void marks_add(struct marks *m, uint64_t mark, const struct position *at)
{
	pthread_mutex_lock(&m->lock);
	/* Another position of the same mark: the file behind the one that ended there. */
	if (m->n && m->v[m->n - 1].mark == mark)
		m->n--;
	if (m->n == FOLLOW_MARKS)
		thin_out(m);
	m->v[m->n++] = (struct marked){ mark, *at };
	pthread_mutex_unlock(&m->lock);
}

bool marks_take(struct marks *m, uint64_t mark, struct position *at)
{
	uint32_t covered = 0;

	pthread_mutex_lock(&m->lock);
	while (covered < m->n && m->v[covered].mark <= mark)
		covered++;
	if (covered) {
		*at = m->v[covered - 1].at;
		m->n -= covered;
		memmove(m->v, m->v + covered, m->n * sizeof(m->v[0]));
	}
	pthread_mutex_unlock(&m->lock);
	return covered != 0;
}

void marks_free(struct marks *m)
{
	pthread_mutex_destroy(&m->lock);
}
