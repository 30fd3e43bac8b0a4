"""Good answers in English: short, right, complete; a reviser has nothing to mend in them."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

GOOD = (
    (
        "arithmetic",
        "A pen costs 3 euros. What do 14 pens cost, and how much do I get back from 50 euros?",
        "14 pens cost 14 × 3 = 42 euros. From 50 euros you get 50 - 42 = 8 euros back.",
    ),
    (
        "arithmetic",
        "What is 15 % of 240?",
        "15 % of 240 is 36. A tenth of 240 is 24, and half of that is 12; 24 + 12 = 36.",
    ),
    (
        "arithmetic",
        "A rectangle is 8 cm by 5 cm. What are its area and its perimeter?",
        "The area is 8 × 5 = 40 square centimetres. The perimeter is 2 × (8 + 5) = 26 centimetres.",
    ),
    (
        "arithmetic",
        "If 6 workers need 10 days for a job, how many days do 4 workers need at the same pace?",
        "They need 15 days. The job takes 6 × 10 = 60 days of work, and 60 ÷ 4 = 15.",
    ),
    (
        "arithmetic",
        "How many minutes are there in a week?",
        "There are 10,080 minutes in a week: 7 days × 24 hours × 60 minutes.",
    ),
    (
        "facts",
        "Why is the sky blue?",
        "Sunlight holds all colours, and the air scatters short wavelengths far more strongly than "
        "long ones. Blue light is therefore sent towards us from all over the sky, while red light "
        "mostly passes straight through. Violet is scattered even more, but sunlight holds less of "
        "it, and our eyes are less sensitive to it.",
    ),
    (
        "facts",
        "Which planet of the solar system is the largest?",
        "Jupiter is the largest planet of the solar system. Its diameter is about 11 times that of "
        "the Earth, and its mass is about 318 times the Earth's.",
    ),
    (
        "facts",
        "When did people first land on the Moon, and who were they?",
        "The first landing was on 20 July 1969, with Apollo 11. Neil Armstrong was the first to "
        "step onto the surface, and Buzz Aldrin followed him. Michael Collins stayed in orbit "
        "around the Moon.",
    ),
    (
        "facts",
        "What is the difference between weather and climate?",
        "Weather is what the atmosphere does at a place over hours or days, such as rain this "
        "afternoon. Climate is the average of the weather, and its usual range, over decades; 30 "
        "years is the customary period. One cold week is weather and says little about climate.",
    ),
    (
        "facts",
        "Do antibiotics help against a cold?",
        "No. A cold is caused by viruses, and antibiotics act only against bacteria. They will not "
        "make a cold shorter, they can have side effects, and needless use helps resistant "
        "bacteria to spread. See a doctor if you have a high fever or trouble breathing, or if you "
        "are no better after about 10 days.",
    ),
    (
        "facts",
        "At what temperature does water boil, and does that depend on the altitude?",
        "At sea level, water boils at 100 °C. Higher up, the air pressure is lower and water boils "
        "at a lower temperature: at 3,000 metres it is about 90 °C.",
    ),
    (
        "code",
        "Write a Python function that returns the factorial of a non-negative integer.",
        "```python\n"
        "def factorial(n: int) -> int:\n"
        "    if n < 0:\n"
        '        raise ValueError("n must not be negative")\n'
        "    result = 1\n"
        "    for factor in range(2, n + 1):\n"
        "        result *= factor\n"
        "    return result\n"
        "```\n"
        "For 0 and 1 the loop does not run, and the result is 1.",
    ),
    (
        "code",
        "How do I reverse a string in JavaScript?",
        "Spread it into characters, reverse these, and join them:\n"
        "```js\n"
        'const reversed = [...text].reverse().join("");\n'
        "```\n"
        'Spreading keeps surrogate pairs such as those of emoji whole; `split("")` does not.',
    ),
    (
        "code",
        "Write an SQL query that counts the orders of each customer, the highest count first. The "
        "table `orders` has a column `customer_id`.",
        "```sql\n"
        "SELECT customer_id, COUNT(*) AS order_count\n"
        "FROM orders\n"
        "GROUP BY customer_id\n"
        "ORDER BY order_count DESC;\n"
        "```\n"
        "Customers without an order are not listed.",
    ),
    (
        "code",
        "Write a Python function that tells whether an integer is a prime.",
        "```python\n"
        "def is_prime(n: int) -> bool:\n"
        "    if n < 2:\n"
        "        return False\n"
        "    divisor = 2\n"
        "    while divisor * divisor <= n:\n"
        "        if n % divisor == 0:\n"
        "            return False\n"
        "        divisor += 1\n"
        "    return True\n"
        "```\n"
        "Divisors above the square root need no test: each would have a partner below it.",
    ),
    (
        "code",
        "Write a Python function that adds up the column `amount` of a CSV file.",
        "```python\n"
        "import csv\n\n\n"
        "def total(path: str) -> float:\n"
        '    with open(path, newline="", encoding="utf-8") as file:\n'
        '        return sum(float(row["amount"]) for row in csv.DictReader(file))\n'
        "```\n"
        "An amount that is no number raises a `ValueError`.",
    ),
    (
        "steps",
        "How do I change the inner tube of a bicycle wheel?",
        "1. Take the wheel out of the frame.\n"
        "2. Let out the remaining air, and lever one side of the tyre off the rim.\n"
        "3. Pull the old tube out.\n"
        "4. Check the inside of the tyre for glass and thorns, and remove them.\n"
        "5. Pump a little air into the new tube, put its valve through the rim, and lay the tube "
        "into the tyre.\n"
        "6. Press the tyre back onto the rim by hand; the tube must not be pinched.\n"
        "7. Pump the tube up to the pressure that is printed on the tyre, and put the wheel back.",
    ),
    (
        "steps",
        "How do I make green tea from loose leaves?",
        "1. Boil fresh water and let it cool to about 75 °C.\n"
        "2. Put 2 to 3 grams of leaves a cup into the pot.\n"
        "3. Pour the water over the leaves.\n"
        "4. Let the tea draw for about a minute and a half.\n"
        "5. Pour it through a strainer into the cup.",
    ),
    (
        "steps",
        "How do I safely remove a tick?",
        "1. Grip the tick with fine tweezers as close to the skin as possible.\n"
        "2. Pull it straight out, slowly and steadily, without twisting.\n"
        "3. Clean the bite and your hands with soap and water or a disinfectant.\n"
        "4. Write down the date, and watch the bite for several weeks.\n"
        "5. See a doctor if a rash spreads around it or you get a fever.\n\n"
        "Oil, glue and heat are not safe: they can make the tick release germs into the wound.",
    ),
    (
        "steps",
        "I forgot the password of my account in your shop. What do I do?",
        "1. Open the sign-in page and choose 'Forgot password'.\n"
        "2. Enter the e-mail address of your account.\n"
        "3. Open the message that we send you, and follow its link.\n"
        "4. Choose a long new password, and confirm it.\n"
        "5. Sign in with the new password.\n\n"
        "If no message arrives, please look into your spam folder.",
    ),
    (
        "links",
        "Where is the documentation of Python's json module?",
        "It is at https://docs.python.org/3/library/json.html, in the reference of the standard "
        "library.",
    ),
    (
        "links",
        "Where do I find the Unicode code charts?",
        "The code charts are at https://www.unicode.org/charts/, one PDF file for each block.",
    ),
    (
        "links",
        "Where can I read the GNU General Public License, version 3?",
        "The text is at https://www.gnu.org/licenses/gpl-3.0.html.",
    ),
    (
        "links",
        "Which RFC defines the semantics of HTTP, and where is it?",
        "The semantics of HTTP are defined in RFC 9110, of June 2022. It is at "
        "https://www.rfc-editor.org/rfc/rfc9110.html.",
    ),
)
"""(slice, prompt, answer)."""
