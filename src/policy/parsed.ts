/** What a parser of one field answers: the normalised value, or what is wrong with it, for a person. Never throws. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** The value `parsed` holds, passed on to `next`; a problem is passed through. */
export function chain<A, B>(parsed: Parsed<A>, next: (value: A) => Parsed<B>): Parsed<B> {
	return "problem" in parsed ? parsed : next(parsed.value);
}
