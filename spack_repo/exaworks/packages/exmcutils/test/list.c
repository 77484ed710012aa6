/* Build a list and print its length: the headers and the library are there and fit each other. */
#include <stdio.h>

#include <list.h>

int main(void)
{
  int values[] = {1, 2, 3};
  struct list* built = list_create();
  for (int i = 0; i < 3; i++)
    list_add(built, &values[i]);
  printf("%d\n", list_size(built));
  return 0;
}
