/* Asks the C library for names, as programs do; built with musl and with glibc for the tests of names.
 *
 * resolve                     waits for ever
 * resolve NAME...             a line for each: the name, then its addresses of IPv4, then those of IPv6
 * resolve -u END NAME...      asks for the names again and again until there is an END; prints how often a
 *                             name was asked for, and how often one was not found
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Prints the addresses of one family unless QUIET; how many there are. */
static int ask(const char *name, int family, int quiet)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all, *one;
	char text[INET6_ADDRSTRLEN];
	int found = 0;

	if (getaddrinfo(name, NULL, &hints, &all) != 0)
		return 0;
	for (one = all; one; one = one->ai_next, found++) {
		if (!quiet && getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
			printf(" %s", text);
	}
	freeaddrinfo(all);
	return found;
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		for (;;)
			pause();
	}
	if (argc > 3 && strcmp(argv[1], "-u") == 0) {
		long asked = 0, missed = 0;
		while (ask(argv[2], AF_INET, 1) == 0) {
			for (int i = 3; i < argc; i++, asked++)
				missed += ask(argv[i], AF_INET, 1) == 0 || ask(argv[i], AF_INET6, 1) == 0;
		}
		printf("%ld asked, %ld missed\n", asked, missed);
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		printf("%s", argv[i]);
		ask(argv[i], AF_INET, 0);
		ask(argv[i], AF_INET6, 0);
		printf("\n");
	}
	return 0;
}
