/* Searches the number whose hash a challenge names (proof.js). */
addEventListener("message", async ({ data: { salt, challenge, maxNumber, maxnumber } }) => {
  const encoder = new TextEncoder();
  const hex = (bytes) => Array.from(new Uint8Array(bytes), (one) => one.toString(16).padStart(2, "0")).join("");
  const last = maxNumber ?? maxnumber;
  const AT_ONCE = 250;
  for (let start = 0; start <= last; start += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, last - start + 1) }, (_, index) => start + index);
    const hashes = await Promise.all(numbers.map((number) => crypto.subtle.digest("SHA-256", encoder.encode(salt + number))));
    const found = hashes.findIndex((hash) => hex(hash) === challenge);
    if (found >= 0) {
      postMessage(numbers[found]);
      return;
    }
  }
  throw new Error("no number has this hash");
});
