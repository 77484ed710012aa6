/* Create a list and print its length, to show that the headers and the library work together. */
#include <stdio.h>

#include <list.h>

int main(void)
{
  int values[] = {1, 2, 3};
  struct list* list = list_create();
  for (int i = 0; i < 3; i++)
    list_add(list, &values[i]);
  printf("%d\n", list_size(list));
  return 0;
}
