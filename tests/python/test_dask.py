#!/usr/bin/python3
"""dask on executors, with Debian's package."""

import operator

import calls_support
import support

import dask
import dask.bag

import futured


def fail(number):
    raise ValueError("number %d" % number)


class DaskTests(calls_support.CallsCase):
    settings = {"MAX_WORKERS": "2"}

    def test_delayed(self):
        numbers = [dask.delayed(operator.mul)(n, n) for n in range(20)]
        total = dask.delayed(sum)(numbers)
        for kind in (futured.ProcessPoolExecutor, futured.ThreadPoolExecutor):
            with self.subTest(kind=kind.__name__), kind() as executor:
                self.assertEqual(dask.compute(total, numbers[3], scheduler=executor), (2470, 9))
                self.assertEqual(total.compute(scheduler=executor), 2470)

    def test_bag(self):
        with futured.ProcessPoolExecutor(max_workers=2) as executor, dask.config.set(scheduler=executor):
            words = dask.bag.from_sequence(["a b a", "b c", "a"] * 10, npartitions=5).map(str.split).flatten()
            self.assertEqual(sorted(words.frequencies().compute()), [("a", 30), ("b", 20), ("c", 10)])
            self.assertEqual(words.filter(lambda word: word == "c").count().compute(), 10)

    def test_a_failure(self):
        with futured.ProcessPoolExecutor() as executor:
            with self.assertRaisesRegex(ValueError, "number 5"):
                dask.compute(dask.delayed(fail)(5), scheduler=executor)
            self.assertEqual(dask.delayed(abs)(-2).compute(scheduler=executor), 2)


if __name__ == "__main__":
    support.main()
