"""Twenty annotators who answer without a pause: 10,000 answers over HTTP.

    python benchmarks/page/crowd.py [--annotators 20] [--questions 500]

The annotators are threads of a process of their own, so that they share the processor with the
server as browsers on one machine would. Every answer is on disk before it is acknowledged.
"""

import argparse
import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from data import ask_beside, cluster_questions, load

from idc_jax.annotate import Store
from idc_jax.annotate.page import serve


def annotate(address, name, count, times):
    connection = http.client.HTTPConnection(address)
    for position in range(count):
        body = {
            "client_id": f"{name}-{position}",
            "annotator": name,
            "round": 1,
            "position": position,
            "answer": "none",
            "seconds": 0.1,
        }
        begun = time.perf_counter()
        connection.request(
            "POST", "/api/answer", json.dumps(body), {"Content-Type": "application/json"}
        )
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
        times.append(time.perf_counter() - begun)


def crowd(url, annotators, count, queue):
    """All annotators at once; puts the seconds of every post, and of all, into ``queue``."""
    address, times = urlsplit(url).netloc, []
    threads = [
        threading.Thread(target=annotate, args=(address, f"person {i}", count, times))
        for i in range(annotators)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put((times, time.perf_counter() - begun))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()
    annotators, count = options.annotators, options.questions
    dataset = load()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "answers.db") as store:
        asked = store.freeze(cluster_questions(dataset, count))
        with serve(
            store, dataset, num_clusters=10, port=0, votes=annotators, linger_seconds=0
        ) as page:
            ask_beside(store, asked, page.annotator)
            process = context.Process(target=crowd, args=(page.url, annotators, count, queue))
            process.start()
            times, seconds = queue.get()
            process.join()
        kept = [row.client_id for row in store.rows()]
    wanted = {f"person {i}-{j}" for i in range(annotators) for j in range(count)}
    lost, double = len(wanted - set(kept)), len(kept) - len(set(kept))
    quantiles = 1000 * np.percentile(times, [50, 99, 100])
    print(f"{annotators} annotators, {len(times)} answers in {seconds:.1f} s")
    print(f"{lost} lost, {double} double")
    print("post, ms: median {:.1f}, p99 {:.1f}, most {:.1f}".format(*quantiles))


if __name__ == "__main__":
    main()
