/** A NumberText remembers the text of the last number: of one that is the same for most requests, or for a second. */
export class NumberText {
  #number: number | undefined;
  #text = '';

  of(number: number): string {
    if (number !== this.#number) {
      this.#number = number;
      this.#text = number.toString();
    }
    return this.#text;
  }
}
