#!/usr/bin/env python3
"""AsyncClient against a real daemon: what it shares with Client is tested there, here what awaits and iterates."""

import asyncio
import signal
import unittest

import support

import futured

HANDLERS = {
    "fail": {"exec": ["sh", "-c", "echo some words >&2; exit 3"]},
    "slow": {"exec": ["sh", "-c", "echo begun >&2; exec sleep 1000"], "timeout": 2000},
}


class AsyncTests(support.DaemonCase, unittest.IsolatedAsyncioTestCase):
    handlers = HANDLERS

    async def asyncSetUp(self):
        self.client = futured.AsyncClient(self.daemon.url)

    async def asyncTearDown(self):
        await self.client.close()

    async def test_inputs_and_results_keep_their_kind(self):
        for value in (None, [1, {"a": "ü"}], "text", b"\x00\xff"):
            task = await self.client.submit("echo", value)
            self.assertEqual(await task.result(support.WAIT_S), value)
        tasks = [{"handler": "echo", "input": "a"}, {"handler": "echo", "input": {"b": 1}}]
        self.assertEqual([each async for each in (await self.client.batch(tasks)).values()], ["a", {"b": 1}])

    async def test_hundreds_at_once(self):
        async def ask(n):
            return await (await self.client.submit("echo", n)).result(support.WAIT_S)

        self.assertEqual(await asyncio.gather(*map(ask, range(200))), list(range(200)))

    async def test_failures(self):
        task = await self.client.submit("fail")
        with self.assertRaises(futured.TaskFailed) as caught:
            await task.result(support.WAIT_S)
        self.assertEqual((caught.exception.code, caught.exception.log), ("exit", "some words\n"))
        self.assertIsInstance(await task.exception(), futured.TaskFailed)
        self.assertEqual(await task.log(), "some words\n")
        self.assertEqual((await task.retry())["state"], "queued")
        await task.exception(support.WAIT_S)
        await task.delete()
        with self.assertRaises(futured.Problem):
            await task.done()
        with self.assertRaises(futured.Problem):
            await self.client.submit("nobody")

    async def test_not_done_in_time(self):
        task = await self.client.submit("slow")
        for wait in (task.result(0.05), task.exception(0.05)):
            with self.assertRaises(futured.NotDone):
                await wait
        with self.assertRaises(futured.NotDone):
            async for _ in self.client.as_completed([task], 0.05):
                pass
        self.assertTrue(await task.cancel())
        with self.assertRaises(futured.CancelledError):
            await task.result(support.WAIT_S)

    async def test_a_cancelled_coroutine_leaves_the_client_usable(self):
        task = await self.client.submit("slow")
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(task.result(), 0.1)
        self.assertFalse(await task.done())
        await task.cancel()

    async def test_logs_are_followed(self):
        task, parts = await self.client.submit("slow"), []
        async for part in task.follow_log():
            parts.append(part)
            await task.cancel()
        self.assertEqual(parts, ["begun\n"])

    async def test_events_are_chosen(self):
        batch = await self.client.batch([{"handler": "fail"}])
        await batch.wait(support.WAIT_S)
        for of in (lambda kinds: batch.events(kinds=kinds), lambda kinds: self.client.events(batch.ids, kinds=kinds)):
            self.assertEqual([each.event async for each in of(["log", "done"])], ["log", "done", "end"])
            self.assertEqual([each.event async for each in of("started")], ["end"])

    async def test_map_wait_list(self):
        numbers = list(range(300))
        self.assertEqual([each async for each in self.client.map("echo", numbers)], numbers)
        slow, quick = await self.client.submit("slow"), await self.client.submit("echo", 1)
        done, not_done = await self.client.wait([slow, quick], support.WAIT_S, "FIRST_COMPLETED")
        self.assertEqual((done, not_done), ([quick.id], [slow.id]))
        batch = await self.client.batch({"handler": "slow"} for _ in range(3))
        await batch.cancel()
        self.assertEqual({each["state"] async for each in batch.as_completed()}, {"cancelled"})
        self.assertEqual((await batch.refresh())["finished"], 3)
        self.assertEqual(len([each async for each in self.client.list(batch=batch.id)]), 3)
        self.assertIn("echo", {each["name"] for each in await self.client.handlers()})
        await slow.cancel()

    async def test_kill_9_is_bridged(self):
        daemon = support.Daemon(HANDLERS)
        try:
            async with futured.AsyncClient(daemon.url) as client:
                values = (await client.batch({"handler": "sleep", "input": {"ms": 5}} for _ in range(300))).values()
                await values.__anext__()
                daemon.restart(signal.SIGKILL)
                self.assertEqual(len([each async for each in values]), 299)
        finally:
            daemon.stop()


class LoopTests(support.DaemonCase):
    def test_one_client_in_two_loops_one_after_the_other(self):
        client = futured.AsyncClient(self.daemon.url)
        for n in range(2):
            async def ask(n=n):
                return await (await client.submit("echo", n)).result(support.WAIT_S)

            self.assertEqual(asyncio.run(ask()), n)


if __name__ == "__main__":
    support.main()
