"""A loop with a person in the terminal: look at a digit, type what it is, and see it learned."""

from sklearn.datasets import load_digits

from idc_jax import Session
from idc_jax.metrics import clustering_metrics

INK = " .:-=+*%#"
QUESTIONS, PER_ROUND = 20, 5
digits = load_digits()
images = digits.images[:400]


def show(image):
    """Print ``image``, grey levels from 0 to 16, as characters."""
    for row in image.astype(int):
        print("".join(2 * INK[level // 2] for level in row))


session = Session(images.reshape(len(images), -1).astype("float32"), num_clusters=10)
for _ in range(QUESTIONS // PER_ROUND):
    answers = {}
    for sample in session.ask(PER_ROUND).ids:
        show(images[sample])
        answers[sample] = input("What is this? (Enter: cannot say) ").strip() or None
    session.answer(answers)
    print(session.outlook_["told"])
for group in session.groups_:
    print(f"{group.name}: {group.size} samples, {group.answered} answered")
scores = clustering_metrics(session.labels_, digits.target[:400], len(session.groups_))
print(f"accuracy against the digits' own labels: {scores['acc']:.3f}")
