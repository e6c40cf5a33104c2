import t from 'tap';
import { judged } from '../../src/monitor/sync/performance.ts';

t.test('a week is slower by more than half and by more than a trifle, where there is enough to say', async (t) => {
  const week = { sync_type: 'event', enough: 100, before: 100, before_ms: 100, now: 100 };
  t.match(judged({ ...week, now_ms: 151 }), { is_slower: true });
  t.match(judged({ ...week, now_ms: 149 }), { is_slower: false });
  t.match(judged({ ...week, before_ms: 1, now_ms: 3 }), { is_slower: false }, 'a trifle');
  t.match(judged({ ...week, before: 99, now_ms: 500 }), { is_slower: null, ratio: null }, 'too few to say');
});
