int printf(const char *, ...);
%:define X(a) %:a
int ma\
in(void) <% int a<:3:> = <%1, 2, 3%>; // comment \
   continues printf("no");
    printf("%d %s\n", a<:1:>, X(q)); /* multi
    line */ printf("a/*not*/b //c\n"); int x = 10 /* 2 */ / 2; printf("%d\n", x); char c = '"', d = '\''; printf("%c%c\n", c, d); x = 1 ?1:2; x=x+++2; printf("%d\n", x > 0); printf("%d\n", a[0]-- >0); int b = 3; b-=-b; printf("%d\n", b); printf("%x %o\n", 0XFFu, 077); printf("%d\n", 1//**/2
    ); return 0; %>
