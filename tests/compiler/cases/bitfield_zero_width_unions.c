int printf(const char*,...);
union U1 { short f0; volatile unsigned : 0; };
union U2 { short f0; unsigned : 0; };
union U3 { char f0; unsigned : 5; };
struct S1 { short a; unsigned : 0; }; struct S2 { char a; unsigned : 0; char b; };
union U1 g[2] = {{-1},{5}}; struct { char c; union U1 u; } w;
int main(void){ printf("%d %d %d %d %d %d %d | %d %d %d\n", (int)sizeof(union U1),(int)sizeof(union U2),(int)sizeof(union U3),(int)sizeof(struct S1),(int)sizeof(struct S2),(int)_Alignof(union U1), (int)sizeof w, g[0].f0, g[1].f0, (int)((char*)&g[1]-(char*)&g[0])); return 0; }
